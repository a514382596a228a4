// What every picture to touch has: words, sliders, panels. malaria_nb.widgets puts this file and
// that of one kind into a function of `script`, which stands inside its widget, and `data`, and
// calls start().
// No library and no request: it works from disk. The numbers that a widget shows are whole in its
// attribute data-numbers.
const root = script.closest(".mnb");
const count = (window.malariaWidgets = (window.malariaWidgets || 0) + 1);
const SVG = "http://www.w3.org/2000/svg";

// -- drawing

function put(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {}))
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  node.append(...[children === undefined ? [] : children].flat());
  return node;
}
const make = (tag, attributes, children) =>
  put(document.createElement(tag), attributes, children);
const draw = (tag, attributes, children) =>
  put(document.createElementNS(SVG, tag), attributes, children);
const text = (x, y, words, attributes) => draw("text", { x, y, ...attributes }, words);
const line = (x1, y1, x2, y2, look) => draw("line", { x1, y1, x2, y2, class: look });
const path = (points, look) =>
  draw("path", { d: "M" + points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join("L"),
    class: look });

// -- words and numbers

const grouped = (n) => Math.round(n).toLocaleString("en-US");
// an expected number of cells: whole from 10 on
const some = (n) => (n >= 9.95 ? grouped(n) : n.toFixed(1));
const plural = (n, one, many) => `${grouped(n)} ${n === 1 ? one : many}`;
const percent = (p) => `${+(100 * p).toPrecision(2)}\u00a0%`;
// a number of 100, and never 0 or 100 where it isn't
function of100(p) {
  if (p > 0 && p < 0.005) return "fewer than 1";
  if (p < 1 && p >= 0.995) return "more than 99";
  return String(Math.round(100 * p));
}

// -- what all widgets have

const about = make("p", { class: "mnb-source" }, data.source);
const heading = make("p", { class: "mnb-title", id: `mnb-${count}` }, data.title);
const controls = make("div", { class: "mnb-controls" });
const panels = make("div", { class: "mnb-panels" });
const said = make("p", { class: "mnb-said" });
// for a screen reader: said when the slider has come to rest
const spoken = make("p", { class: "mnb-spoken", "aria-live": "polite" });
const drawings = [];
let waiting = 0;

function slider(name, most, at, describe) {
  const id = `mnb-${count}-${controls.childElementCount}`;
  const input = make("input", { type: "range", id, min: 0, max: most, step: 1, value: at });
  input.value = at;
  const value = make("output", { for: id });
  // on a phone the first words of two sliders stand beside them, and a screen reader says the rest
  const [first, rest] = name.split(/(?=: )/);
  const label = rest ? [first, make("span", { class: "mnb-more" }, rest)] : first;
  const show = () => {
    value.textContent = describe(+input.value);
    input.setAttribute("aria-valuetext", describe(+input.value));
  };
  input.addEventListener("input", () => { show(); update(true); });
  controls.append(make("div", { class: "mnb-slider" },
    [make("label", { for: id }, label), value, input]));
  show();
  return { input, get at() { return +input.value; },
    set at(i) { input.value = i; show(); update(true); } };
}

function button(words, act, where) {
  const made = make("button", { type: "button" }, words);
  made.addEventListener("click", act);
  where.append(made);
  return made;
}

const narrow = () => root.clientWidth < 480;

// a panel: its caption, and a picture drawn anew for its width, lower on a phone
function panel(caption, [tall, low], paint, wide) {
  const words = make("figcaption", {}, caption);
  const svg = draw("svg", { role: "img" });
  const box = make("figure", { class: wide ? "mnb-panel mnb-wide" : "mnb-panel" }, [words, svg]);
  panels.append(box);
  const again = () => {
    const width = Math.max(250, Math.floor(box.clientWidth) || 320);
    const height = narrow() ? low : tall;
    svg.replaceChildren();
    put(svg, { width, height, viewBox: `0 0 ${width} ${height}` });
    paint(svg, width, height, words);
  };
  drawings.push(again);
  return { box, words, again };
}

// the numbers that matter, in large: names, and a function that gives their values and notes
function tiles(names, values) {
  const shown = names.map(() => [make("strong", {}), make("small", {})]);
  panels.append(make("dl", { class: "mnb-tiles mnb-wide" }, names.map((name, i) =>
    make("div", {}, [make("dt", {}, name), make("dd", {}, shown[i])]))));
  drawings.push(() => values().forEach(([value, note], i) => {
    shown[i][0].textContent = value;
    shown[i][1].textContent = note;
  }));
}

// axes of a panel: returns what places a value
function axes(svg, width, height, { x, y, xName, yName, left = 62 }) {
  const right = width - 18, top = 8, bottom = height - 42;
  const X = (v) => left + x.place(v) * (right - left);
  const Y = (v) => bottom - y.place(v) * (bottom - top);
  for (const v of y.ticks) {
    svg.append(line(left, Y(v), right, Y(v), "mnb-grid"));
    svg.append(text(left - 5, Y(v) + 4, y.say(v), { "text-anchor": "end" }));
  }
  for (const v of x.ticks) {
    svg.append(line(X(v), bottom, X(v), bottom + 4, "mnb-axis"));
    svg.append(text(X(v), bottom + 17, x.say(v), { "text-anchor": "middle" }));
  }
  svg.append(line(left, bottom, right, bottom, "mnb-axis"));
  svg.append(text((left + right) / 2, height - 5, xName, { "text-anchor": "middle" }));
  if (yName)
    svg.append(text(0, 0, yName, { "text-anchor": "middle",
      transform: `translate(14 ${(top + bottom) / 2}) rotate(-90)` }));
  return { X, Y, left, right, top, bottom };
}
const straight = (low, high, ticks, say) =>
  ({ place: (v) => (v - low) / (high - low), ticks, say });

let state = () => ({});
let words = () => "";

function update(touched) {
  root.dataset.numbers = JSON.stringify(state());
  said.textContent = words();
  drawings.forEach((again) => again());
  if (!touched) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => { spoken.textContent = said.textContent; }, 500);
}

// -- thresholds

const T = (t) => (t < 0.01 || t > 0.99 ? String(t) : t.toFixed(2));

function rates(i) {
  const tn = data.tn[i], fp = data.fp[i], fn = data.fn[i], tp = data.tp[i];
  return { tn, fp, fn, tp, sensitivity: tp / (tp + fn), specificity: tn / (tn + fp) };
}

// as np.quantile
function quantile(values, q) {
  const sorted = Float64Array.from(values).sort(), at = (sorted.length - 1) * q;
  const i = Math.floor(at), t = at - i, a = sorted[i];
  const b = sorted[Math.min(i + 1, sorted.length - 1)];
  return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
}

// -- at the end

function start() {
  if (root.dataset.ready) return;
  root.dataset.ready = "yes";
  for (const node of root.querySelectorAll(".mnb-static")) node.hidden = true;
  put(root, { role: "group", "aria-labelledby": heading.id });
  root.append(make("div", { class: "mnb-live" }, [heading, controls, panels, said, spoken, about]));
  // JupyterLab would take the arrow keys, to go from cell to cell: it asks what has the focus
  for (const node of root.querySelectorAll("input, button"))
    node.setAttribute("data-lm-suppress-shortcuts", "true");
  update();
  if (window.ResizeObserver) {
    let width = 0;
    new ResizeObserver(() => {
      if (root.clientWidth !== width) {
        width = root.clientWidth;
        drawings.forEach((again) => again());
      }
    }).observe(root);
  }
}
