"""Why a name resolves, or does not: facts about a cluster and what was answered, to a reason."""
