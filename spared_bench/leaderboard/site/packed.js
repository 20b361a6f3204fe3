"use strict";
// Values of a slide's spots, unpacked: steps between the extremes of a gene, deflated.

spared.packed = (() => {
  const UNMEASURED = 255;
  const open = new Map();

  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // One gene on one slide: values in the order of its spots, null where nothing was measured, and
  // the extremes of the gene over all slides.
  async function gene(protocol, name, levels, slide, number, spots, perFile) {
    const file = `${name}-s${slide}-g${Math.floor(number / perFile)}`, key = `${protocol} ${file}`;
    const part = await spared.ofProtocol(protocol, file);
    if (!open.has(key)) open.set(key, inflate(part.steps));
    const steps = await open.get(key), at = number % perFile;
    const low = part.low[at], high = part.high[at];
    const values = Array.from(steps.subarray(at * spots, (at + 1) * spots), (step) => step === UNMEASURED ? null : low + (high - low) * step / levels);
    return { values, low, high };
  }

  return { gene };
})();
