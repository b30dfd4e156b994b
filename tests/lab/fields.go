// Command fields prints how Kubernetes' types are laid out in protobuf: a line with a type's name,
// then a line per field: its JSON name ("+" for one whose members stand in the holder's JSON), its
// number, its type, and "optional" for one that is told apart from its zero value. Run by record.py.
package main

import (
	"fmt"
	"path"
	"reflect"
	"strings"

	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	autoscaling1 "k8s.io/api/autoscaling/v1"
	autoscaling2 "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	scheduling "k8s.io/api/scheduling/v1"
	storage "k8s.io/api/storage/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var seen = map[reflect.Type]bool{}

func name(t reflect.Type) string {
	dir, version := path.Split(t.PkgPath())
	return path.Base(dir) + "." + version + "." + t.Name()
}

func walk(t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] || t.PkgPath() == "" {
		return
	}
	seen[t] = true
	var lines []string
	var next []reflect.Type
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		tag := strings.Split(f.Tag.Get("protobuf"), ",")
		if len(tag) < 2 {
			continue
		}
		field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if field == "" {
			field = "+"
		}
		line := "  " + field + " " + tag[1]
		if f.Type.Kind() == reflect.Pointer {
			line += " optional"
		}
		if field == "+" {
			line += " " + name(f.Type)
		}
		lines = append(lines, line)
		next = append(next, f.Type)
	}
	fmt.Println(name(t))
	for _, line := range lines {
		fmt.Println(line)
	}
	for _, other := range next {
		walk(other)
	}
}

func main() {
	for _, one := range []any{
		core.Namespace{}, core.Service{}, core.Endpoints{}, core.Pod{}, core.Node{}, core.ConfigMap{},
		core.Secret{}, core.ServiceAccount{}, core.Event{}, core.PersistentVolumeClaim{},
		core.PersistentVolume{}, core.LimitRange{}, core.ResourceQuota{}, core.Binding{},
		apps.Deployment{}, apps.ReplicaSet{}, apps.StatefulSet{}, apps.DaemonSet{},
		apps.ControllerRevision{}, discovery.EndpointSlice{}, networking.Ingress{},
		networking.IngressClass{}, networking.NetworkPolicy{}, policy.PodDisruptionBudget{},
		policy.Eviction{}, autoscaling1.Scale{}, autoscaling1.HorizontalPodAutoscaler{},
		autoscaling2.HorizontalPodAutoscaler{}, rbac.Role{}, rbac.RoleBinding{}, rbac.ClusterRole{},
		rbac.ClusterRoleBinding{}, events.Event{}, authorization.SelfSubjectAccessReview{},
		authorization.SubjectAccessReview{}, authorization.SelfSubjectRulesReview{},
		authorization.LocalSubjectAccessReview{}, authentication.TokenRequest{},
		authentication.TokenReview{}, authentication.SelfSubjectReview{}, coordination.Lease{},
		batch.Job{}, batch.CronJob{}, storage.StorageClass{}, scheduling.PriorityClass{},
		meta.DeleteOptions{},
	} {
		walk(reflect.TypeOf(one))
	}
}
