// Live pages in a few lines: each message is HTML whose elements replace those with the same id.
"use strict";

const status = document.getElementById("live");

function swap(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const fresh of [...template.content.children]) {
    const old = document.getElementById(fresh.id);
    if (!old) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.form?.action : null;
    old.replaceWith(fresh);
    if (focused) document.querySelector(`form[action="${new URL(focused).pathname}"] button`)?.focus();
  }
  tellTimes();
}

function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[datetime]:not([datetime=''])")) {
    time.title ||= time.textContent;
    time.textContent = ago(Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000));
  }
}

if (status) {
  const source = new EventSource(status.dataset.stream);
  source.onopen = () => { status.textContent = "Live"; status.classList.add("on"); };
  source.onerror = () => { status.textContent = "Reconnecting"; status.classList.remove("on"); };
  source.onmessage = (event) => swap(event.data);
  addEventListener("pagehide", () => source.close());
  setInterval(tellTimes, 5000);
  tellTimes();
}
