// below each result: what kind of page it is, and the sentence that the words were found in
const KINDS = {exercises: "Exercises", solutions: "Solutions", reference: "The library's reference"};
const MOST = 220;  // letters of a snippet

function kindOf(page) {
  if (page.includes("/")) return KINDS[page.split("/")[0]] || "";
  if (/^[0-6]\d_/.test(page)) return "Chapter";
  return /^\d\d_/.test(page) ? "The library's notebook" : "";
}

function wordsOf(query) {
  const words = query.toLowerCase().match(/[\p{L}\p{N}_]+/gu) || [];
  // as the index does, roughly: metrics and metric are one word
  return words.map(word => word.length > 5 ? word.slice(0, -2) : word);
}

function places(text, words) {
  const found = [];
  for (const word of words) {
    for (let i = text.indexOf(word); i >= 0; i = text.indexOf(word, i + 1)) found.push([i, word]);
  }
  return found.sort(([a], [b]) => a - b);
}

// where most of the words stand together, and how many of them
function best(text, words) {
  const found = places(text.toLowerCase(), words);
  let most = {at: -1, words: 0};
  found.forEach(([at], k) => {
    const near = new Set(found.slice(k, k + 20).filter(([i]) => i < at + MOST / 2).map(([, w]) => w));
    if (near.size > most.words) most = {at, words: near.size};
  });
  return most;
}

function snippet(text, at) {
  // from the sentence's beginning, if it is near
  let from = Math.max(...[". ", "? ", "! "].map(end => text.lastIndexOf(end, at) + 2));
  if (from === 1) from = 0;  // no sentence ends before
  const whole = at - from <= MOST / 2;
  if (!whole) from = text.indexOf(" ", at - MOST / 3) + 1;
  let to = Math.min(text.length, from + MOST);
  if (to < text.length) to = text.lastIndexOf(" ", to);
  return (whole ? "" : "… ") + text.slice(from, to) + (to < text.length ? " …" : "");
}

function marked(text, words) {
  const p = document.createElement("p");
  p.className = "context";
  const any = new RegExp(`((?:${words.join("|")})[\\p{L}\\p{N}_]*)`, "giu");
  text.split(any).forEach((piece, i) => {
    if (i % 2) p.appendChild(document.createElement("mark")).textContent = piece;
    else p.append(piece);
  });
  return p;
}

function dress(item, words) {
  const link = item.querySelector("a");
  const [file, anchor] = link.getAttribute("href").split("#");
  const page = decodeURIComponent(file).replace(/\.html$/, "");
  const sections = window.PROSE[page] || [];
  const here = sections.filter(([id]) => id === anchor);
  const texts = (here.length ? here : sections).map(([, text]) => text);
  const finds = texts.map(text => ({text, ...best(text, words)}));
  const {text, at} = finds.reduce((a, b) => b.words > a.words ? b : a, {text: texts[0], words: 0});
  const kind = kindOf(page);
  if (kind) {
    const label = item.appendChild(document.createElement("span"));
    label.className = "kind";
    label.textContent = kind;
  }
  if (text) item.appendChild(marked(snippet(text, Math.max(at ?? 0, 0)), words));
}

document.addEventListener("DOMContentLoaded", () => {
  const words = wordsOf(new URLSearchParams(location.search).get("q") || "");
  const results = document.getElementById("search-results");
  if (!words.length || !results) return;
  const look = () => results.querySelectorAll("li:not([data-dressed])").forEach(item => {
    item.dataset.dressed = "";
    dress(item, words);
  });
  new MutationObserver(look).observe(results, {childList: true, subtree: true});
  look();
});
