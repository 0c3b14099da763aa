// Keys: / j k x Enter c e ? and Escape. None of them while something is being typed, none with Ctrl, Alt or Meta.

import { clearSelection, toggle } from "./selection.js";

function rows() {
  return [...document.querySelectorAll("tr[data-job]")];
}

function here() {
  return document.querySelector("tr.here");
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(here());
  const next = all[Math.min(Math.max(at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step, 0), all.length - 1)];
  here()?.classList.remove("here");
  next.classList.add("here");
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a.title").focus();
}

function select(isRange) {
  const box = here()?.querySelector("td.select input");
  if (!box) return;
  box.checked = !box.checked;
  toggle(box, isRange);
}

function act(name) {
  const place = here() ?? (rows().length ? null : document);
  place?.querySelector(`[data-act=${name}]`)?.click();
}

const KEYS = {
  "/": () => document.querySelector("input[type=search]")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  x: () => select(false),
  X: () => select(true),
  c: () => act("cancel"),
  e: () => act("retry"),
  "?": () => document.getElementById("help")?.showModal(),
  Escape: clearSelection,
};

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "Enter" && here() && event.target === document.body) here().querySelector("a.title").click();
    const does = KEYS[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
}
