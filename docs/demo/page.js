// What the reader sees: files in, scores and maps out.
"use strict";
const $ = id => document.getElementById(id);
const FIELD = 500, LEAST = 100, MOST = 50e6, ROWS = 50; // pixels a side of a field; of a readable one; pixels at most; rows shown at a time
const RINGS = "Thick ring and number: called parasitized. Thin ring: called uninfected. Dashed ring: left out."; // tools/demo.py says the same
const RING = {parasitized: "#D55E00", uninfected: "#0072B2"}; // course.COLORS
const signed = x => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(1);
const percent = x => `${(100*x).toFixed(1)}\u00a0%`;
const many = (n, one, more=one + "s") => `${n} ${n === 1 ? one : more}`;
const make = (tag, props={}, ...inside) => {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...inside);
  return e;
};

let files = [], fields = [], cells = [], problems = [], shown = ROWS, queue, turn = 0;
let asked = false; // the reader has begun
let ours = false; // what is shown is the page's own: it makes room for whatever comes next
const threshold = () => +$("threshold").value;
const call = c => c.score >= threshold() ? "parasitized" : "uninfected";
const chosenKind = () => document.querySelector("[name=kind]:checked").value;
const isField = p => chosenKind() === "size" ? Math.max(p.width, p.height) >= FIELD : chosenKind() === "field";
const breathe = () => new Promise(done => setTimeout(done)); // lets the browser draw and listen

// -- reading

async function readField(name, picture) {
  if (Math.min(picture.width, picture.height) < LEAST) throw new Error(`a field of at least ${LEAST} pixels a side is needed; if it is a cell, say so above`);
  const reason = Smear.checkField(picture), field = {name, picture, reason, found: reason ? [] : Smear.findCells(picture)};
  for (const [i, c] of field.found.entries()) {
    Object.assign(c, {name, number: i + 1});
    if (c.kind !== "red") continue;
    c.picture = Smear.cut(picture, c);
    Object.assign(c, await Model.score(c.picture));
  }
  return {fields: [field], cells: field.found.filter(c => c.kind === "red")};
}

async function readCell(name, file, picture) { // the file is decoded again when its row is shown: thousands of pictures don't fit
  return {cells: [{name, file, kind: "red", x: 0, y: 0, w: picture.width, h: picture.height, ...await Model.score(picture)}]};
}

async function read(file) { // {fields, cells, problems}, what there is of them
  try {
    const picture = await Model.decode(file);
    if (picture.width*picture.height > MOST) throw new Error(`more than ${MOST/1e6} million pixels; make it smaller`);
    return await (isField(picture) ? readField(file.name, picture) : readCell(file.name, file, picture));
  } catch (e) { return {problems: [`${file.name}: ${e.message ?? e}`]}; }
}

async function readAll(added, mine) {
  if (mine !== turn) return; // all was removed, or is read anew
  $("progress").hidden = false;
  const before = problems.length;
  let last = 0;
  for (const [i, file] of added.entries()) {
    if (Date.now() - last > 500) { $("status").textContent = `Reading picture ${i + 1} of ${added.length} …`; last = Date.now(); }
    $("progress").value = i/added.length;
    await breathe();
    const got = await read(file);
    if (mine !== turn) return;
    fields.push(...got.fields ?? []);
    cells.push(...got.cells ?? []);
    problems.push(...got.problems ?? []);
  }
  $("progress").hidden = true;
  const skipped = problems.length - before;
  $("opening")?.remove();
  $("status").textContent = ours && !asked ? "Ready. Your browser has just found and scored these cells." : `Done: ${many(added.length - skipped, "picture")} read, ${skipped} skipped.`;
  show();
}

function add(more, own = false) {
  const added = [...more]; // a copy: the input's own list is emptied
  if (!added.length) return;
  if (ours || own) empty();
  ours = own;
  const mine = turn;
  files.push(...added);
  $("status").textContent = `Reading ${many(added.length, "picture")} …`;
  $("clear").disabled = !files.length;
  queue = queue.then(() => readAll(added, mine));
}

function empty() {
  turn++;
  [files, fields, cells, problems, shown] = [[], [], [], [], ROWS];
  $("progress").hidden = true;
  if (asked) $("opening")?.remove();
  show();
}

function restart(kept, own = false) {
  empty();
  if (kept.length) add(kept, own);
}

// -- pictures

function canvasOf(picture, alt) {
  const c = make("canvas", {width: picture.width, height: picture.height});
  c.setAttribute("role", "img");
  c.setAttribute("aria-label", alt);
  c.getContext("2d").putImageData(new ImageData(picture.data, picture.width, picture.height), 0, 0);
  return c;
}

const place = ({values, rows, columns}) => { // of the highest evidence, in words
  const i = values.indexOf(Math.max(...values)), third = (k, n) => Math.floor(3*(k + .5)/n);
  return [["upper left", "top", "upper right"], ["left", "middle", "right"], ["lower left", "bottom", "lower right"]][third(Math.floor(i/columns), rows)][third(i % columns, columns)];
};

function between({values, rows, columns}, x, y) { // evidence at a place, 0–1 each way, linear between its squares' middles
  const at = (v, n) => Math.min(n - 1, Math.max(0, v*n - .5)), [u, v] = [at(x, columns), at(y, rows)], [i, j] = [Math.floor(u), Math.floor(v)];
  const e = (r, c) => values[Math.min(r, rows - 1)*columns + Math.min(c, columns - 1)], mix = (a, b, t) => a + (b - a)*t;
  return mix(mix(e(j, i), e(j, i + 1), u - i), mix(e(j + 1, i), e(j + 1, i + 1), u - i), v - j);
}

function heatMap(picture, c) {
  const scale = Math.max(1, Math.round(180/picture.width)), [width, height] = [scale*picture.width, scale*picture.height];
  const most = Math.max(...c.evidence.values), data = new Uint8ClampedArray(4*width*height).fill(255);
  const e = Float32Array.from({length: width*height}, (_, i) => between(c.evidence, (i % width + .5)/width, (Math.floor(i/width) + .5)/height));
  for (let i = 0; i < e.length; i++) {
    const from = 4*(Math.floor(i/width/scale)*picture.width + Math.floor(i % width/scale)), [r, g, b] = picture.data.subarray(from, from + 3);
    const grey = .299*r + .587*g + .114*b, hot = e[i] > 0;
    const colour = PARTS.colours[Math.round(255*Math.max(0, e[i]/most))], cross = (j, same) => same && (e[j] > 0) !== hot;
    const zero = cross(i + 2, i % width + 2 < width) || cross(i + 2*width, i + 2*width < e.length); // two pixels wide
    for (let k = 0; k < 3; k++) data[4*i + k] = zero ? 255 : hot ? .35*grey + .65*colour[k] : .8*grey;
  }
  const where = most > 0 ? `highest, ${signed(most)}, at the ${place(c.evidence)}` : "none speaks for a parasite";
  return canvasOf({data, width, height}, `Evidence in ${title(c)}: ${where}`);
}

function ring(pen, c, label) {
  pen.beginPath();
  pen.arc(c.cx, c.cy, 1.15*Math.sqrt(c.area/Math.PI) + 2, 0, 2*Math.PI);
  const called = c.kind === "red" && call(c) === "parasitized";
  pen.setLineDash(c.kind === "red" ? [] : [6, 5]);
  for (const [colour, more] of [["#fff", 3], [c.kind === "red" ? RING[call(c)] : "#333", 0]]) {
    Object.assign(pen, {strokeStyle: colour, lineWidth: (called ? 5 : 2) + more});
    pen.stroke();
  }
  if (!called) return;
  Object.assign(pen, {font: "bold 22px sans-serif", textAlign: "center", textBaseline: "middle", lineWidth: 5, strokeStyle: "#fff", fillStyle: "#000"});
  pen.setLineDash([]);
  pen.strokeText(label, c.cx, c.cy);
  pen.fillText(label, c.cx, c.cy);
}

// -- results

const title = c => c.number ? `cell ${c.number} of ${c.name}` : c.name;

function summary(found) { // of fields' cells
  const red = found.filter(c => c.kind === "red"), called = red.filter(c => call(c) === "parasitized").length;
  const left = ["edge", "clump", "small", "white"].map(k => [k, found.filter(c => c.kind === k).length]).filter(([, n]) => n);
  const out = left.length ? ` Left out: ${left.map(([k, n]) => `${n} ${{edge: "cut by the border", clump: "crowded", small: "small", white: "white"}[k]}`).join(", ")}.` : "";
  if (!red.length) return `No red cell found.${out}`;
  const p = Smear.parasitaemia(called, red.length), doubt = Smear.checkCount(called, red.length);
  return `${doubt && `This count is ${doubt}. `}${many(red.length, "red cell")}, ${called} called parasitized: parasitaemia ${percent(p.value)} (95\u00a0% interval ${percent(p.low)} to ${percent(p.high)}).${out}`;
}

function showFields() {
  $("fields").replaceChildren(...fields.flatMap(f => {
    const head = make("h3", {textContent: f.name}), truth = ours ? [make("p", {className: "truth", textContent: TRUTH[f.name]})] : [];
    if (f.reason) return [head, make("p", {textContent: `Not counted: it is ${f.reason}.`})];
    const canvas = canvasOf(f.picture, `${f.name} with a ring around each cell found. ${summary(f.found)}`), pen = canvas.getContext("2d");
    f.found.forEach(c => ring(pen, c, c.number));
    const said = make("div", {}, make("p", {textContent: summary(f.found)}), ...truth, make("p", {className: "small", textContent: RINGS}));
    return [head, make("div", {className: "field"}, canvas, said)];
  }));
}

async function drawn(c) {
  const picture = c.picture ?? await Model.decode(c.file), {values} = c.evidence, range = `${signed(Math.min(...values))} to ${signed(Math.max(...values))}`;
  return make("tr", {}, ...[canvasOf(picture, title(c)), heatMap(picture, c), c.score.toFixed(3), "", range, title(c)].map(inside => make("td", {}, inside)));
}

async function row(c) { // drawn once: the threshold changes the call alone
  c.row ??= await drawn(c);
  c.row.cells[3].textContent = call(c);
  return c.row;
}

function counts() {
  const alone = cells.filter(c => !c.number), called = alone.filter(c => call(c) === "parasitized").length, read = fields.filter(f => !f.reason), parts = [];
  if (alone.length) parts.push(`${many(alone.length, "cell picture")}: ${called} called parasitized, ${alone.length - called} uninfected.`);
  if (read.length === 1 && !alone.length) parts.push(`${read[0].found.filter(c => c.kind === "red" && call(c) === "parasitized").length} of ${many(read[0].found.filter(c => c.kind === "red").length, "red cell")} called parasitized.`);
  else if (read.length) parts.push(`${many(read.length, "field")} counted: ${summary(read.flatMap(f => f.found))}`);
  if (fields.length > read.length) parts.push(`${many(fields.length - read.length, "field")} not counted.`);
  return parts.join(" ");
}

let drawing = 0;
async function showRows() {
  const mine = ++drawing, sorted = [...cells].sort((a, b) => b.score - a.score);
  const rows = await Promise.all(sorted.slice(0, shown).map(row));
  if (mine !== drawing) return; // a later change is being drawn
  $("rows").replaceChildren(...rows);
  $("more").hidden = cells.length <= shown;
}

function show() {
  $("chosen").textContent = threshold().toFixed(2);
  $("results").hidden = !(cells.length || fields.length);
  $("clear").disabled = !files.length;
  $("problems").replaceChildren(...problems.length ? [make("p", {textContent: "Skipped:"}), make("ul", {}, ...problems.map(p => make("li", {textContent: p})))] : []);
  $("counts").textContent = counts();
  showFields();
  return showRows();
}

function table() { // CSV of every cell found
  const quoted = v => /[",\n\r]/.test(v) ? `"${`${v}`.replaceAll('"', '""')}"` : `${v}`;
  const plain = name => /^[=+\-@]/.test(name) ? `'${name}` : name; // a spreadsheet would take it for a formula
  const all = [...cells.filter(c => !c.number), ...fields.flatMap(f => f.found)];
  const line = c => [plain(c.name), c.number ?? "", c.x, c.y, c.w, c.h, c.kind, c.score ?? "", c.kind === "red" ? call(c) : "", threshold()];
  return [["file", "cell", "x", "y", "w", "h", "kind", "score", "call", "threshold"], ...all.map(line)].map(l => l.map(quoted).join(",")).join("\n") + "\n";
}

// -- what the reader does

const OURS = {"sample-real": "field 17", "sample-stain": "field 100", "sample-field": "synthetic field", "sample-cells": "synthetic cell"}; // button: how its pictures' names begin

function samples(wanted) {
  const chosen = Object.entries(SAMPLES).filter(([name]) => name.startsWith(wanted));
  add(chosen.map(([name, png]) => new File([Model.bytes(png)], name, {type: "image/png"})), true);
}

function listen() {
  $("own").onclick = () => $("files").click();
  $("files").onchange = e => { asked = true; add(e.target.files); e.target.value = ""; };
  for (const [id, wanted] of Object.entries(OURS)) $(id).onclick = () => { asked = true; samples(wanted); };
  $("clear").onclick = () => { asked = true; restart([]); $("status").textContent = "All pictures removed."; $("own").focus(); };
  $("kinds").onchange = () => { asked = true; restart(files, ours); };
  $("threshold").oninput = show;
  $("more").onclick = () => { shown += ROWS; showRows(); };
  $("save").onclick = () => {
    const url = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
    make("a", {href: url, download: "cells.csv"}).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };
  const over = on => e => { e.preventDefault(); document.body.classList.toggle("over", on); };
  document.ondragover = over(true);
  document.ondragleave = over(false);
  document.ondrop = e => { over(false)(e); asked = true; add(e.dataTransfer.files); };
}

$("about").textContent = `Model and programs: ${PARTS.about}.`;
queue = Model.load();
queue.then(() => {
  listen();
  for (const id of ["files", "own", ...Object.keys(OURS)]) $(id).disabled = false;
  samples(OURS["sample-real"]);
}, e => { $("status").textContent = `The model can't start in this browser: ${e.message ?? e}. Try a newer one.`; throw e; });
