// What a page does once it is open. It works without: each part only adds to what the server has sent.

import { keepTimes } from "./times.js";
import { startLive } from "./live.js";
import { startKeys } from "./keys.js";
import { startSelection } from "./selection.js";

function startCopying() {
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const said = (await copy(document.getElementById(button.dataset.copy))) ? "Copied" : "Not possible here";
    button.textContent = said;
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch { // there is no clipboard without https: the old way
    getSelection().selectAllChildren(element);
    const worked = document.execCommand("copy");
    getSelection().removeAllRanges();
    return worked;
  }
}

// A notice belongs to what was just done: reloading the page shows no old one.
function forgetNotice() {
  const url = new URL(location.href);
  if (!url.searchParams.has("notice")) return;
  url.searchParams.delete("notice");
  history.replaceState(null, "", url);
}

// On a narrow screen the pages and the tabs are wider than it.
function showWhereOneIs() {
  for (const link of document.querySelectorAll("nav [aria-current]")) link.scrollIntoView({ block: "nearest", inline: "center" });
}

function startHelp() {
  const button = document.getElementById("show-help");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => document.getElementById("help").showModal());
}

forgetNotice();
showWhereOneIs();
startHelp();
startCopying();
keepTimes();
startSelection();
startKeys();
startLive();
