// Ages and running times that go on while a page is open. They are written as the server writes them (web/ui/wording.py).

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

export function ago(seconds) {
  const away = Math.abs(seconds);
  if (away < 5) return "just now";
  const [size, unit] = UNITS.find(([size]) => away >= size);
  const text = `${Math.floor(away / size)} ${unit}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const at = UNITS.findIndex(([size]) => whole >= size);
  if (at < 0) return "0 s";
  const [size, unit] = UNITS[at];
  const rest = at + 1 < UNITS.length ? Math.floor((whole % size) / UNITS[at + 1][0]) : 0;
  return `${Math.floor(whole / size)} ${unit}` + (rest ? ` ${rest} ${UNITS[at + 1][1]}` : "");
}

function update() {
  if (document.hidden) return;
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-age]")) write(time, ago((now - Date.parse(time.dateTime)) / 1000));
  for (const element of document.querySelectorAll("[data-since]")) {
    const seconds = (now - Date.parse(element.dataset.since)) / 1000;
    if (seconds >= 1) write(element, duration(seconds));
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function keepTimes() {
  setInterval(update, 1000);
}
