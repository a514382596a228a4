// What a reader has ticked: kept in this browser's storage, and sent nowhere.
(() => {
  "use strict";
  const KEY = "malaria_nb.done"; // {chapter: day}; a book on disk shares its store with other files
  const today = () => new Date().toLocaleDateString("sv"); // the reader's own day, as 2026-11-29
  const inWords = day => new Date(`${day}T12:00`).toLocaleDateString("en-GB", {day: "numeric", month: "long", year: "numeric"});
  const many = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
  let closed = false; // this browser keeps nothing for this page

  function read() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      return Object.fromEntries(Object.entries(kept ?? {}).filter(([, day]) => /^\d{4}-\d\d-\d\d$/.test(day)));
    } catch (e) {
      closed ||= !(e instanceof SyntaxError);
      return {};
    }
  }

  function tick(chapter, on) { // reads again: another tab may have ticked meanwhile
    const done = read();
    if (on) done[chapter] ??= today();
    else delete done[chapter];
    try { localStorage.setItem(KEY, JSON.stringify(done)); } catch { closed = true; }
    show();
  }

  const CLOSED = "This browser keeps nothing for this page, so a tick would be lost. Allow it to store data for this site, or print the list.";

  function showEnd(end, done) {
    const button = end.querySelector("button"), chapter = end.dataset.chapter, day = done[chapter];
    button.hidden = false;
    button.disabled = closed;
    button.setAttribute("aria-pressed", String(Boolean(day)));
    button.textContent = day ? `✓ Chapter ${chapter.slice(0, 2)} done` : `Mark chapter ${chapter.slice(0, 2)} as done`;
    end.querySelector(".progress-said").textContent = closed ? CLOSED : day ? `Since ${inWords(day)}; kept in this browser alone. Press again to take it back.` : "";
  }

  function showSidebar(done) { // a tick beside each chapter that is done
    for (const link of document.querySelectorAll(".bd-sidebar-primary a[href]")) {
      const name = link.getAttribute("href") === "#" ? location.pathname.split("/").pop() : link.getAttribute("href").split("/").pop();
      const on = !/(exercises|solutions)\//.test(link.href) && name.replace(".html", "") in done;
      if (on === Boolean(link.querySelector(".ticked"))) continue;
      if (!on) link.querySelector(".ticked").remove();
      else link.append(Object.assign(document.createElement("span"), {className: "ticked", textContent: " ✓", title: "done"}));
    }
  }

  function showSheet(sheet, rows, done) {
    const days = rows.map(row => done[row.dataset.chapter]);
    sheet.hidden = !days.every(Boolean);
    sheet.querySelector("ol").replaceChildren(...rows.map((row, i) => {
      const line = document.createElement("li");
      for (const text of [row.querySelector("label").textContent, days[i] ? inWords(days[i]) : ""])
        line.append(Object.assign(document.createElement("span"), {textContent: text}), " ");
      return line;
    }));
  }

  function showPage(done) {
    const rows = [...document.querySelectorAll(".chapters li")];
    for (const row of rows) {
      const day = done[row.dataset.chapter];
      Object.assign(row.querySelector("input"), {checked: Boolean(day), disabled: closed});
      row.querySelector(".day").textContent = day ? inWords(day) : "";
    }
    for (const sheet of document.querySelectorAll(".sheet"))
      showSheet(sheet, rows.filter(row => row.parentElement.dataset.part === sheet.dataset.part), done);
    const left = rows.filter(row => !done[row.dataset.chapter]), next = left[0], said = document.getElementById("progress-next");
    document.getElementById("forget").hidden = left.length === rows.length;
    if (closed) said.textContent = CLOSED;
    else if (!next) said.textContent = `All ${rows.length} chapters are done. What would you ask next?`;
    else if (left.length < rows.length) {
      const link = Object.assign(document.createElement("a"), {href: `${next.dataset.chapter}.html`, textContent: next.querySelector("label").textContent});
      said.replaceChildren(`${rows.length - left.length} of ${many(rows.length, "chapter")} done. Next: `, link, `. Left: about ${many(left.length, "hour")} of reading, and the exercises.`);
    } else said.textContent = "Nothing is ticked yet. Tick a chapter when you are done with it, here or at its end.";
  }

  function show() {
    const done = read();
    document.querySelectorAll(".chapter-end").forEach(end => showEnd(end, done));
    showSidebar(done);
    if (document.getElementById("ticks-next")) showPage(done);
  }

  function printSheet(sheet) { // it alone
    document.body.classList.add("one-sheet");
    sheet.classList.add("chosen");
    window.print();
    document.body.classList.remove("one-sheet");
    sheet.classList.remove("chosen");
  }

  function listen() {
    document.querySelectorAll(".chapter-end").forEach(end => {
      const button = end.querySelector("button");
      button.addEventListener("click", () => tick(end.dataset.chapter, button.getAttribute("aria-pressed") === "false"));
    });
    document.querySelectorAll(".chapters li").forEach(row => {
      const box = row.querySelector("input");
      box.addEventListener("change", () => tick(row.dataset.chapter, box.checked));
    });
    document.querySelectorAll(".sheet").forEach(sheet => sheet.querySelector(".print").addEventListener("click", () => printSheet(sheet)));
    document.getElementById("forget")?.addEventListener("click", () => {
      if (!confirm("Forget all your ticks? They are kept nowhere else.")) return;
      try { localStorage.removeItem(KEY); } catch { closed = true; }
      show();
      document.getElementById("progress-next").scrollIntoView({block: "center"});
    });
    addEventListener("storage", show); // another tab
    addEventListener("pageshow", e => { if (e.persisted) show(); }); // back from another page
    show();
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", listen);
  else listen();
})();
