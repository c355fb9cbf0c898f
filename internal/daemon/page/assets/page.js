// Looks at the page again every few seconds and after each event, and adds events to the
// log as they happen. All text comes from the server, escaped; nothing is asked of
// another host.
"use strict";
(() => {
  const every = 5000, most = 200;
  const log = document.getElementById("log");
  const feed = document.getElementById("feed");
  let last = log.dataset.last, timer = 0, busy = false, again = false;

  const parse = (text) => new DOMParser().parseFromString(text, "text/html");
  const say = (text, kind) => { feed.textContent = text; feed.className = kind; };

  // replace puts the new part in place of the old, with what was open there still open.
  function replace(id, from) {
    const old = document.getElementById(id), now = from.getElementById(id);
    if (!old || !now) return;
    const open = new Set(), focused = document.activeElement?.closest("details")?.dataset.key;
    for (const d of old.querySelectorAll("details[open]")) open.add(d.dataset.key);
    let focus = null;
    for (const d of now.querySelectorAll("details")) {
      d.open = open.has(d.dataset.key);
      if (d.dataset.key === focused) focus = d.querySelector("summary");
    }
    old.replaceWith(document.adoptNode(now));
    focus?.focus({preventScroll: true});
  }

  // reading tells whether somebody has marked text, to copy a fix: it is not to be taken away.
  const reading = () => {
    const s = document.getSelection();
    return !s.isCollapsed && document.getElementById("now").contains(s.anchorNode);
  };

  async function look() {
    if (busy) { again = true; return; }
    clearTimeout(timer);
    busy = true;
    try {
      if (!document.hidden && !reading()) {
        const answer = await fetch("./", {cache: "no-store"});
        if (!answer.headers.get("Content-Type")?.startsWith("text/html")) throw new Error(answer.status);
        const from = parse(await answer.text());
        replace("top", from);
        replace("now", from);
        document.title = from.title;
        document.body.classList.remove("stale");
      }
    } catch {
      document.body.classList.add("stale");
    }
    busy = false;
    timer = setTimeout(look, again ? 100 : every);
    again = false;
  }

  function connect() {
    const source = new EventSource("events?after=" + encodeURIComponent(last));
    source.onopen = () => say("as they happen", "well");
    source.onmessage = (e) => {
      last = e.lastEventId;
      const item = parse(e.data).querySelector("li");
      if (item) {
        item.classList.add("new");
        log.prepend(document.adoptNode(item));
      }
      while (log.children.length > most) log.lastElementChild.remove();
      look();
    };
    source.onerror = () => {
      say("not connected", "warn");
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, every); // it does not come again by itself
    };
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  timer = setTimeout(look, every);
  connect();
})();
