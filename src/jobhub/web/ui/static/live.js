// Live pages: one event stream each. A row that has changed is replaced by what the server made of it; when there is more to see, the page
// is asked for again and its live parts are replaced. Nothing moves while rows are selected or nobody looks.

import { hasSelection, onSelectionChange, restoreSelection } from "./selection.js";

const REPAINT_MS = 250; // four a second
const RELOAD_MS = 2000; // the whole list less often: it costs the server a page
const RETRY_MS = 3000;
const IS_HIDDEN_FOR_LONG_MS = 1000;

let live = null; // the element that says what to follow
let source = null;
const rows = new Map(); // what has come and is not painted yet
let painting = null;
let reloading = null;
let reloadedAt = 0;
let isReloadWanted = false;
const served = new Map(); // the live parts as the server sent them last
let hiding = null;
let paceMs = 0; // the server asks for patience when many pages are open

export function startLive() {
  live = document.getElementById("live");
  if (!live) return;
  for (const part of document.querySelectorAll("[data-live]")) served.set(part.id, part.outerHTML);
  reloadedAt = Date.now();
  onSelectionChange(() => { if (!isPaused()) { paint(); if (isReloadWanted) wantReload(); } });
  document.addEventListener("visibilitychange", visibilityChanged);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) { wantReload(); open(); } });
  setInterval(reloadOften, 1000);
  open();
}

function isPaused() {
  return document.hidden || hasSelection();
}

function open() {
  close();
  if (!live.dataset.stream || document.hidden) return;
  source = new EventSource(streamUrl());
  source.onopen = () => say("");
  source.onerror = lost;
  source.addEventListener("row", (event) => take(told(event)));
  source.addEventListener("news", (event) => { if (isNews(told(event))) wantReload(); });
}

function told(event) {
  const change = JSON.parse(event.data);
  paceMs = change.pace_seconds * 1000;
  return change;
}

// A stream begins with the present state, which the page may show already.
function isNews(change) {
  const shown = document.querySelector("[data-shown]");
  return !shown || Number(shown.dataset.shown) !== change.version;
}

// What moves without a change of its own: a place in the queue, or figures.
function reloadOften() {
  const part = document.querySelector("[data-every]");
  if (part && !isPaused() && Date.now() - reloadedAt >= Number(part.dataset.every) * 1000) wantReload();
}

function close() {
  if (source) source.close();
  source = null;
}

function streamUrl() {
  const url = new URL(live.dataset.stream, location.href);
  if (live.hasAttribute("data-whole")) return url;
  const shown = [...document.querySelectorAll("tr[data-job]")].map((row) => `${row.dataset.job}.${row.dataset.version}`);
  url.searchParams.set("rows", shown.join(","));
  return url;
}

// The browser tries again by itself, unless the server said that it shouldn't.
function lost() {
  const isOver = live.hasAttribute("data-whole") && source && source.readyState !== EventSource.CLOSED;
  if (isOver) wantReload(); // the stream of a job ends with the job
  else say("The connection is lost. Trying again …");
  if (source && source.readyState === EventSource.CLOSED) setTimeout(heal, RETRY_MS);
}

async function heal() {
  if (document.hidden) return;
  if (await reload()) open();
  else if (live) setTimeout(heal, RETRY_MS);
}

function visibilityChanged() {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(close, IS_HIDDEN_FOR_LONG_MS);
  else if (!source) { wantReload(); open(); } else paint();
}

function take(change) {
  const row = document.getElementById(`job-${change.id}`);
  if (row && row.dataset.status !== change.status) isReloadWanted = true; // counts, and what the filter leaves
  rows.set(change.id, change.html);
  painting ??= setTimeout(paint, REPAINT_MS);
}

function paint() {
  clearTimeout(painting);
  painting = null;
  if (isPaused()) return;
  for (const [id, html] of rows) {
    const old = document.getElementById(`job-${id}`);
    if (!old) continue;
    const body = document.createElement("tbody");
    body.innerHTML = html; // the server escapes, and the page's policy runs nothing that is not a file of ours
    swap(old, body.firstElementChild);
  }
  rows.clear();
  if (isReloadWanted) wantReload();
}

function swap(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement.dataset.act ?? document.activeElement.className : null;
  if (old.classList.contains("here")) fresh.classList.add("here");
  old.replaceWith(fresh);
  if (focused) [...fresh.querySelectorAll("a, button, input")].find((one) => (one.dataset.act ?? one.className) === focused)?.focus();
}

function wantReload() {
  isReloadWanted = true;
  if (isPaused() || reloading) return;
  const shortest = Math.max(paceMs, live.hasAttribute("data-whole") ? REPAINT_MS : RELOAD_MS);
  reloading = setTimeout(async () => {
    if (!isPaused()) await reload();
    reloading = null;
    if (isReloadWanted && !isPaused()) wantReload();
  }, Math.max(0, reloadedAt + shortest - Date.now()));
}

async function reload() {
  isReloadWanted = false;
  reloadedAt = Date.now();
  let answer;
  try {
    answer = await fetch(location.href, { headers: { accept: "text/html" } });
  } catch {
    say("The connection is lost. Trying again …");
    return false;
  }
  if (answer.redirected && new URL(answer.url).pathname === "/ui/sign-in") {
    say("You are signed out. ", "Sign in again");
    close();
    live = null;
    return false;
  }
  if (!answer.ok) return false;
  const text = await answer.text();
  if (isPaused()) isReloadWanted = true; // somebody has selected a row while this was on its way
  else replaceParts(new DOMParser().parseFromString(text, "text/html"));
  say("");
  return true;
}

function replaceParts(fresh) {
  const before = [...document.querySelectorAll("tr[data-job]")].map((row) => row.dataset.job).join();
  const here = document.querySelector("tr.here")?.id;
  let hadFocus = false;
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id);
    if (!old || served.get(part.id) === part.outerHTML) continue;
    served.set(part.id, part.outerHTML);
    hadFocus ||= old.contains(document.activeElement);
    old.replaceWith(document.adoptNode(part));
  }
  const row = here && document.getElementById(here);
  if (row) row.classList.add("here");
  if (hadFocus) (row?.querySelector("a.title") ?? document.getElementById("main")).focus({ preventScroll: true });
  restoreSelection();
  rows.clear();
  document.title = fresh.title;
  const stream = fresh.getElementById("live")?.dataset.stream;
  if (!stream) { delete live.dataset.stream; close(); } else if (!live.dataset.stream || !source) { live.dataset.stream = stream; open(); }
  if (before !== [...document.querySelectorAll("tr[data-job]")].map((row) => row.dataset.job).join()) open();
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
}

function say(text, link) {
  const banner = document.getElementById("connection");
  banner.hidden = !text;
  banner.textContent = text;
  if (!link) return;
  const again = document.createElement("a");
  again.href = location.href; // which leads to the sign-in and back here
  again.textContent = link;
  banner.append(again);
}
