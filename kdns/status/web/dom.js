"use strict";
// Elements out of text. Names are strangers' text: they enter the page as text nodes only,
// and what cannot be seen in them (control characters, overrides of direction) is spelt out.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}\u00a0\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\ufe00-\ufe0f\uffa0]/gu;
const SVG = "http://www.w3.org/2000/svg";
const LONGEST = 1200;

const at = id => document.getElementById(id);

function el(tag, given = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(given))
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  made.append(...inside);
  return made;
}

function draw(tag, given) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
  return made;
}

const spelt = sign => `U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
const cut = text => text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;

// The text as one line, for labels that take no elements.
const plain = text => cut(String(text)).replace(UNSEEN, sign => `⟨${spelt(sign)}⟩`);

const hasUnseen = text => String(text).search(UNSEEN) >= 0;

// The text as nodes, with what is unseen in boxes.
function pieces(text) {
  const whole = cut(String(text)), made = [];
  let from = 0;
  for (const found of whole.matchAll(UNSEEN)) {
    made.push(whole.slice(from, found.index), el("span", {class: "odd"}, spelt(found[0])));
    from = found.index + found[0].length;
  }
  made.push(whole.slice(from));
  return made;
}

const named = (text, tag = "bdi") => el(tag, {class: "name", dir: "ltr"}, ...pieces(text));

// A long name, which may be broken after its dots.
function dotted(text) {
  const made = named("");
  for (const part of cut(String(text)).split(/(?<=\.)/)) made.append(...pieces(part), el("wbr"));
  return made;
}

// What a record holds under a stranger's word, which may be that of something all objects have.
const own = (record, key) => Object.hasOwn(record, key) ? record[key] : undefined;

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Makes the children of `parent` those of `rows`: what stays the same is left alone, and nothing is
// moved under a reader's pointer or focus.
function fill(parent, rows, keyOf, make) {
  const old = new Map([...parent.children].map(child => [child.dataset.key, child]));
  const isHeld = parent.contains(document.activeElement) || parent.matches(":hover");
  const keep = new Set(rows.map(keyOf));
  for (const [key, child] of old) if (!keep.has(key)) child.remove();
  let place = parent.firstElementChild;
  for (const row of rows) {
    const key = keyOf(row), shape = JSON.stringify(row);
    let child = old.get(key);
    if (child && child.shape !== shape) {
      const fresh = made(make, row, key, shape, child);
      if (fresh !== child) {
        if (place === child) place = fresh;
        child.replaceWith(fresh);
        child = fresh;
      }
    } else child ??= made(make, row, key, shape);
    if (child === place) place = place.nextElementSibling;
    else if (!isHeld || !child.parentNode) parent.insertBefore(child, place);
  }
}

function made(make, row, key, shape, before) {
  const child = make(row, before);
  child.dataset.key = key;
  child.shape = shape;
  return child;
}

// Says a sentence to screen readers, at most one in three seconds: the newest wins.
const say = (() => {
  let next = "", isWaiting = false;
  const speak = () => {
    isWaiting = next !== "";
    if (!isWaiting) return;
    at("said").textContent = next;
    next = "";
    setTimeout(speak, 3000);
  };
  return text => {
    next = text;
    if (!isWaiting) speak();
  };
})();
