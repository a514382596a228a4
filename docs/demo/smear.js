// The steps of malaria_nb/smear.py (chapter 14), with the same OpenCV; tests/browser/test_demo.py compares the two.
// A field is {data, width, height}: RGBA bytes of an opaque picture, as a canvas gives them.
"use strict";
const Smear = (() => {
  const RIM = [.9, .9625, 1.025, 1.0875, 1.15], SPREAD = .3, REACH = 2, CORE = Math.fround(.9), STEEP = .03; // see smear.py
  const NUCLEUS = .5, CLEAR = .7, MANY = .2;
  const LIMITS = {saturated: .05, black: .01, covered: .02, crowded: .65, contrast: 20, focus: 1};

  // OpenCV's matrices live outside JavaScript's memory: `work` gets a maker of them, and all are freed at its end
  const scope = work => {
    const made = [], mat = (m = new cv.Mat()) => (made.push(m), m);
    try { return work(mat); } finally { made.forEach(m => m.delete()); }
  };
  const size0 = () => new cv.Size(0, 0);
  const blur = (from, to, sigma) => cv.GaussianBlur(from, to, size0(), sigma);
  const rgb = (mat, picture) => {
    const rgba = mat(cv.matFromArray(picture.height, picture.width, cv.CV_8UC4, picture.data)), out = mat();
    cv.cvtColor(rgba, out, cv.COLOR_RGBA2RGB);
    return out;
  };
  const median = a => {
    const s = [...a].sort((x, y) => x - y), n = s.length;
    return n ? (s[(n - 1) >> 1] + s[n >> 1]) / 2 : 0;
  };
  const areas = (mat, mask, connectivity) => {
    const part = mat(), stats = mat();
    cv.connectedComponentsWithStats(mask, part, stats, mat(), connectivity, cv.CV_32S);
    return [part, Array.from({length: stats.rows}, (_, i) => stats.intAt(i, cv.CC_STAT_AREA))];
  };
  const box = side => cv.Mat.ones(side, side, cv.CV_8U);

  function usual(mat, mask) { // area of a usual cell: the median of outlines as round as a cell alone
    const outlines = mat(new cv.MatVector()), cell = [], alone = [];
    cv.findContours(mask, outlines, mat(), cv.RETR_EXTERNAL, cv.CHAIN_APPROX_NONE);
    for (let i = 0; i < outlines.size(); i++) {
      const outline = outlines.get(i), area = cv.contourArea(outline), {radius} = cv.minEnclosingCircle(outline);
      outline.delete();
      if (area <= 100) continue;
      cell.push(area);
      if (area > .75*Math.PI*radius**2) alone.push(area);
    }
    return median(alone.length ? alone : cell);
  }
  const stained = (flat, mask) => { // the usual green of what is stained
    const own = mask.data;
    return median(flat.data.filter((_, i) => own[i]));
  };

  function evenLight(mat, field) {
    const [h, w] = [field.height, field.width];
    const values = new Uint8Array(h*w), from = field.data;
    for (let i = 0; i < h*w; i++) values[i] = from[4*i + 1];
    const green = mat(cv.matFromArray(h, w, cv.CV_8U, values)), small = mat(), lamp = mat(), flat = mat(new cv.Mat(h, w, cv.CV_8U));
    cv.resize(green, small, size0(), 1/8, 1/8, cv.INTER_AREA);
    cv.dilate(small, small, mat(cv.Mat.ones(15, 15, cv.CV_8U)));
    blur(small, small, 8);
    cv.resize(small, lamp, new cv.Size(w, h), 0, 0, cv.INTER_LINEAR);
    const [light, even] = [lamp.data, flat.data]; // each `data` is a new view: take it once, after the last call that may allocate
    for (let i = 0; i < h*w; i++) even[i] = Math.min(255, Math.fround(Math.fround(255/Math.max(light[i], 1))*values[i]));
    return flat;
  }

  function darkRegions(mat, flat) {
    const soft = mat(), mask = mat(), holes = mat();
    blur(flat, soft, 1);
    cv.threshold(soft, mask, 0, 1, cv.THRESH_BINARY_INV + cv.THRESH_OTSU);
    const least = .2*usual(mat, mask);
    cv.threshold(mask, holes, 0, 1, cv.THRESH_BINARY_INV);
    const [part, area] = areas(mat, holes, 4);
    const [m, p] = [mask.data, part.data32S];
    for (let i = 0; i < m.length; i++) if (area[p[i]] < least) m[i] = 1;
    return mask;
  }

  function rimVotes(mat, flat, mask, radius) { // about 1 where rims lie all around at one radius
    const [h, w] = [mask.rows, mask.cols], votes = mat(cv.Mat.zeros(h, w, cv.CV_32F)), smooth = mat(), across = mat(), down = mat();
    if (!radius) return votes;
    const steep = 8*STEEP*(255 - stained(flat, mask));
    blur(flat, smooth, Math.max(1, .05*radius));
    cv.Sobel(smooth, across, cv.CV_16S, 1, 0);
    cv.Sobel(smooth, down, cv.CV_16S, 0, 1);
    const [dx, dy, vote] = [across.data16S, down.data16S, votes.data32F];
    for (let i = 0; i < h*w; i++) {
      const length = Math.sqrt(dx[i]*dx[i] + dy[i]*dy[i]);
      if (!(length > steep)) continue;
      for (const r of RIM) { // towards the dark side
        const x = Math.floor(i % w - r*radius*(dx[i]/length) + .5), y = Math.floor(Math.floor(i/w) - r*radius*(dy[i]/length) + .5);
        if (x >= 0 && x < w && y >= 0 && y < h) vote[y*w + x]++;
      }
    }
    blur(votes, votes, SPREAD*radius);
    const full = Math.fround(4*RIM.length/(SPREAD**2*radius)), all = votes.data32F;
    for (let i = 0; i < all.length; i++) all[i] /= full;
    return votes;
  }

  function partCells(mat, mask, votes, radius) { // Int32Array: 0 empty, -1 dam, 1, 2, … a region each
    const out = new Int32Array(mask.data.length);
    if (!radius) return out;
    const away = mat(), highest = mat(), core = mat(new cv.Mat(mask.rows, mask.cols, cv.CV_8U)), seeds = mat(), three = mat();
    cv.distanceTransform(mask, away, cv.DIST_L2, 5);
    blur(away, away, Math.max(1, .1*radius));
    const [depth, vote] = [away.data32F, votes.data32F]; // a core is deep in the stain and has rims all around it
    for (let i = 0; i < depth.length; i++) depth[i] = Math.min(Math.fround(depth[i]/Math.fround(radius)), 1) + Math.min(vote[i], 1);
    cv.dilate(away, highest, mat(box(2*Math.floor(REACH*radius/2) + 1)));
    cv.cvtColor(mask, three, cv.COLOR_GRAY2BGR);
    three.convertTo(three, -1, 255, 0);
    const [score, top, c] = [away.data32F, highest.data32F, core.data];
    let m = mask.data;
    for (let i = 0; i < m.length; i++) c[i] = m[i] > 0 && score[i] >= Math.fround(CORE*top[i]);
    cv.connectedComponents(core, seeds, 8, cv.CV_32S);
    let s = seeds.data32S; // 1 is the empty field, 0 not decided yet
    m = mask.data;
    for (let i = 0; i < m.length; i++) s[i] = m[i] ? s[i] + (s[i] > 0) : 1;
    cv.watershed(three, seeds);
    [s, m] = [seeds.data32S, mask.data];
    for (let i = 0; i < m.length; i++) out[i] = s[i] > 1 ? s[i] - 1 : Math.min(s[i], 0)*m[i];
    return out;
  }

  function kind(area, usualArea, dark, edge, hidden) {
    if (edge) return "edge";
    if (dark > .2 && area > .5*usualArea) return "white";
    if (area < .45*usualArea) return "small";
    return hidden || area > 2*usualArea ? "clump" : "red";
  }

  // [{x, y, w, h, area, cx, cy, kind, mask}] as find_cells; mask is a Uint8Array of w·h
  const findCells = field => scope(mat => {
    const flat = evenLight(mat, field), mask = darkRegions(mat, flat), usualArea = usual(mat, mask), radius = Math.sqrt(usualArea/Math.PI);
    const votes = rimVotes(mat, flat, mask, radius), regions = partCells(mat, mask, votes, radius), nucleus = NUCLEUS*stained(flat, mask);
    const pieces = areas(mat, mask, 8)[0], cells = [], found = [], crowd = {};
    const [h, w, even, vote, piece] = [mask.rows, mask.cols, flat.data, votes.data32F, pieces.data32S];
    for (let i = 0; i < regions.length; i++) {
      if (regions[i] < 1) continue;
      const r = found[regions[i]] ??= {left: w, right: 0, top: h, bottom: 0, area: 0, sx: 0, sy: 0, dark: 0, votes: 0, piece: piece[i]};
      const x = i % w, y = (i - x)/w;
      r.left = Math.min(r.left, x); r.right = Math.max(r.right, x + 1);
      r.top = Math.min(r.top, y); r.bottom = Math.max(r.bottom, y + 1);
      r.area++; r.sx += x; r.sy += y; r.dark += even[i] < nucleus;
      r.votes = Math.max(r.votes, vote[i]);
    }
    found.forEach(r => { crowd[r.piece] = (crowd[r.piece] ?? 0) + 1; });
    found.forEach((r, n) => {
      if (r.area < 30) return; // dust
      const own = new Uint8Array((r.right - r.left)*(r.bottom - r.top)), wide = r.right - r.left;
      for (let j = 0; j < own.length; j++) own[j] = regions[(r.top + Math.floor(j/wide))*w + r.left + j % wide] === n;
      const edge = r.top <= 1 || r.left <= 1 || r.bottom >= h - 1 || r.right >= w - 1;
      const hidden = crowd[r.piece] > 1 && r.votes < CLEAR; // in a heap, its rim behind others
      cells.push({x: r.left, y: r.top, w: wide, h: r.bottom - r.top, area: r.area, cx: r.sx/r.area, cy: r.sy/r.area,
                  kind: kind(r.area, usualArea, r.dark/r.area, edge, hidden), mask: own});
    });
    return cells;
  });

  const measureField = field => scope(mat => {
    const flat = evenLight(mat, field), mask = darkRegions(mat, flat), [even, own] = [flat.data, mask.data], n = own.length;
    let [stain, dark, light, burnt, black] = [0, 0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      if (own[i]) { stain++; dark += even[i]; } else light += even[i];
      const r = field.data[4*i], g = field.data[4*i + 1], b = field.data[4*i + 2];
      burnt += Math.min(r, g, b) >= 254;
      black += Math.max(r, g, b) <= 20;
    }
    const contrast = stain && stain < n ? light/(n - stain) - dark/stain : 0;
    const edge = mat(), rim = mat(), soft = mat(), most = mat(), least = mat(), bend = mat();
    const near = mat(box(2*Math.max(2, Math.floor(Math.sqrt(usual(mat, mask)/Math.PI)/4)) + 1));
    cv.morphologyEx(mask, edge, cv.MORPH_GRADIENT, mat(box(3)));
    cv.dilate(edge, rim, mat(box(7)));
    blur(flat, soft, 1);
    cv.dilate(soft, most, near);
    cv.erode(soft, least, near);
    soft.convertTo(soft, cv.CV_32F);
    cv.Laplacian(soft, bend, cv.CV_32F);
    const average = a => a.reduce((x, y) => x + y, 0)/a.length;
    const [at, high, low, along] = [edge.data, most.data, least.data, rim.data];
    const steps = Array.from(high, (v, i) => (v - low[i])**2).filter((_, i) => at[i]), bends = Array.from(bend.data32F).filter((_, i) => along[i]);
    const mean = average(bends), focus = steps.length ? 1000*average(bends.map(b => (b - mean)**2))/Math.max(average(steps), 1) : 0;
    return {saturated: burnt/n, black: black/n, covered: stain/n, contrast, focus};
  });

  function isGrey(field) {
    for (let i = 0; i < field.data.length; i += 4)
      if (field.data[i] !== field.data[i + 1] || field.data[i] !== field.data[i + 2]) return false;
    return true;
  }

  function checkField(field) { // why it can't be read; "" if it can
    const m = measureField(field), percent = (x, d) => `${(100*x).toFixed(d)}%`;
    if (m.saturated > LIMITS.saturated) return `overexposed: ${percent(m.saturated, 0)} of the pixels are at the end of the scale; use less light`;
    if (m.black > LIMITS.black) return `black: ${percent(m.black, 0)} of the pixels are black, as in a frame, a caption or an eyepiece's rim; cut them off, as the cells can't be told from them`;
    if (isGrey(field)) return "grey: red, green and blue are the same; the models read the stain's colour";
    if (m.contrast < LIMITS.contrast || m.covered < LIMITS.covered)
      return `empty: stain covers ${percent(m.contrast >= LIMITS.contrast ? m.covered : 0, 1)} of the field; move to where cells are`;
    if (m.covered > LIMITS.crowded) return `crowded: stain covers ${percent(m.covered, 0)} of the field; move to where cells lie side by side`;
    if (m.focus < LIMITS.focus) return `blurred: focus ${m.focus.toFixed(2)}, at least ${LIMITS.focus.toFixed(1)} is needed; focus and take it again`;
    return "";
  }

  function checkCount(parasitized, cells) { // what to doubt; "" if nothing
    if (parasitized <= MANY*cells) return "";
    return `doubtful: ${parasitized} of ${cells} cells are called parasitized; a stain or a camera that the model does not know does that more often than malaria`;
  }

  function cut(field, cell) { // a cell on black, a picture like the field
    const data = new Uint8ClampedArray(4*cell.w*cell.h);
    for (let j = 0; j < cell.mask.length; j++) {
      const i = 4*((cell.y + Math.floor(j/cell.w))*field.width + cell.x + j % cell.w);
      if (cell.mask[j]) for (let c = 0; c < 3; c++) data[4*j + c] = field.data[i + c];
      data[4*j + 3] = 255;
    }
    return {data, width: cell.w, height: cell.h};
  }

  // RGB 0–255 for a model that reads height × width, shrunk as images.decode_cell does
  const resized = (picture, height, width) => scope(mat => {
    const out = mat();
    cv.resize(rgb(mat, picture), out, new cv.Size(width, height), 0, 0, cv.INTER_AREA);
    return Float32Array.from(out.data);
  });

  function parasitaemia(parasitized, cells) { // value and Wilson's (1927) 95% interval; shares
    const z = 1.959963984540054, p = parasitized/cells, zz = z*z/cells;
    const middle = (p + zz/2)/(1 + zz), reach = z*Math.sqrt(p*(1 - p)/cells + zz/cells/4)/(1 + zz);
    return {value: p, low: parasitized ? middle - reach : 0, high: parasitized < cells ? middle + reach : 1};
  }

  return {findCells, measureField, checkField, checkCount, cut, resized, parasitaemia};
})();
