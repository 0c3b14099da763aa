// Selecting rows: one by one, all of the page, or with Shift all between the last one and this.

let last = null;
const listeners = [];

function boxes() {
  return [...document.querySelectorAll("td.select input[type=checkbox]")];
}

function every() {
  return document.getElementById("every"); // also those of other pages
}

export function hasSelection() {
  return boxes().some((box) => box.checked) || Boolean(every()?.checked);
}

export function onSelectionChange(listener) {
  listeners.push(listener);
}

export function toggle(box, isRange) {
  const all = boxes();
  const from = all.findIndex((one) => one.value === last);
  const to = all.indexOf(box);
  if (isRange && from >= 0) for (const one of all.slice(Math.min(from, to), Math.max(from, to) + 1)) one.checked = box.checked;
  last = box.value;
  if (every() && !box.checked) every().checked = false;
  changed();
}

export function clearSelection() {
  for (const box of boxes()) box.checked = false;
  if (every()) every().checked = false;
  changed();
}

function changed() {
  restoreSelection();
  for (const listener of listeners) listener();
}

// What the page shows of the selection; also after its rows were replaced.
export function restoreSelection() {
  const all = boxes();
  const count = all.filter((box) => box.checked).length;
  const label = document.getElementById("selected");
  if (label) label.textContent = said(count);
  for (const button of document.querySelectorAll(".bulk button")) button.disabled = !hasSelection();
  const master = document.getElementById("all");
  if (!master) return;
  master.hidden = false;
  master.checked = count > 0 && count === all.length;
  master.indeterminate = count > 0 && count < all.length;
}

function said(count) {
  if (every()?.checked) return "All selected; the list stands still:";
  return count ? `${count} selected; the list stands still:` : "With the selected:";
}

export function startSelection() {
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (target.matches("td.select input")) toggle(target, event.shiftKey);
    if (target.id === "all" || target.id === "every") {
      for (const box of boxes()) box.checked = target.checked;
      if (every() && !target.checked) every().checked = false;
      changed();
    }
  });
  restoreSelection();
}
