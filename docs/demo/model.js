// The model: bytes to pixels, pixels to a score and to the evidence behind it.
"use strict";
const Model = (() => {
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  let model, height, width;

  async function load() {
    self.cv = await self.cv;
    const packed = new Blob([bytes(PARTS.wasm)]).stream().pipeThrough(new DecompressionStream("gzip"));
    self.LITERT_WASM = new Uint8Array(await new Response(packed).arrayBuffer());
    await LiteRT.loadLiteRt("");
    LiteRT.getGlobalLiteRt().liteRtWasm.checkTensorBufferCompatible = () => {}; // it refuses a batch of any size (-1), which the runtime takes
    model = await LiteRT.loadAndCompile(bytes(PARTS.model), {accelerator: "wasm"});
    delete self.LITERT_WASM;
    [, height, width] = model.getInputDetails()[0].shape;
  }

  // a file's pixels as they stand in it: no colour management, no multiplied alpha
  async function decode(blob) {
    let bitmap;
    try { bitmap = await createImageBitmap(blob, {colorSpaceConversion: "none", premultiplyAlpha: "none"}); }
    catch { throw new Error("not a picture that this browser can read; use PNG or JPEG"); }
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), pen = canvas.getContext("2d", {willReadFrequently: true});
    pen.drawImage(bitmap, 0, 0);
    bitmap.close();
    const picture = pen.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 3; i < picture.data.length; i += 4)
      if (picture.data[i] < 255) throw new Error("it has transparent pixels, whose colour means nothing; save it without transparency");
    return picture;
  }

  async function score(picture) { // probability of parasitized, and evidence {values, rows, columns}, whose mean is the logit
    const input = new LiteRT.Tensor(Smear.resized(picture, height, width), [1, height, width, 3]);
    const outputs = await model.run([input]), read = t => ({values: t.toTypedArray().slice(), shape: t.type.layout.dimensions});
    const map = outputs.map(read).find(t => t.shape.length === 4), values = [...map.values];
    [input, ...outputs].forEach(t => t.delete());
    const logit = values.reduce((a, b) => a + b, 0) / values.length;  // as Python takes it: from the map, not from the model's own score
    return {score: 1 / (1 + Math.exp(-logit)), evidence: {values, rows: map.shape[1], columns: map.shape[2]}};
  }

  return {load, decode, score, bytes, get side() { return [width, height]; }};
})();
