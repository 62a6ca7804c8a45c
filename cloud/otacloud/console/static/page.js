// What HTML cannot say: times as "3 min ago", and whether the page is live. Everything works without this.
"use strict";

function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const then = Date.parse(time.dateTime);
    const text = then > Date.now() + 5000 ? new Date(then).toLocaleString() : ago((Date.now() - then) / 1000);
    const exact = time.dateTime.replace("T", " ").replace("Z", " UTC");
    if (time.title !== exact) time.title = exact;
    if (time.textContent !== text) time.textContent = text;
  }
}

function tellLive(on) {
  const mark = document.getElementById("live");
  if (!mark?.hasAttribute("hx-sse:connect")) return;
  mark.textContent = on ? "Live" : "Reconnecting";
  mark.classList.toggle("on", on);
}

addEventListener("htmx:after:sse:connection", () => tellLive(true));
addEventListener("htmx:sse:error", () => tellLive(false));
addEventListener("htmx:sse:close", () => tellLive(false));
addEventListener("htmx:after:swap", tellTimes);

// One menu or question is open at a time; Escape closes it.
const floating = "details.menu[open], details.ask[open]";
addEventListener("click", (event) => {
  for (const open of document.querySelectorAll(floating)) if (!open.contains(event.target)) open.open = false;
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll(floating)) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// On a phone the pages' names scroll sideways: the one that is open shall be seen.
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

setInterval(tellTimes, 5000);
tellTimes();
