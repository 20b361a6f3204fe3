"use strict";
// Small pieces of views: facts, links of strangers, commands that a click copies.

spared.parts = (() => {
  const { el } = spared;
  const known = (v) => v !== null && v !== undefined;
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  const plural = (k, word) => `${k} ${word}${k === 1 ? "" : "s"}`;
  const listed = (words) => words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;

  const facts = (pairs) => el("dl", { class: "facts" }, pairs.filter(([, v]) => known(v) && v !== "" && !(Array.isArray(v) && !v.length)).map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
  // What stands between backticks, as code.
  const coded = (text) => String(text).split("`").map((part, i, all) => i % 2 && i < all.length - 1 ? el("code", {}, part) : i % 2 ? `\`${part}` : part);
  // Only addresses of the web become links.
  const source = (text) => /^https?:\/\/\S+$/.test(text) ? el("a", { href: text, rel: "noreferrer noopener" }, text) : coded(text);
  const flagged = (flags) => flags.length ? el("ul", { class: "flags" }, flags.map(([kind, why, dataset]) => el("li", {}, `⚑ ${kind}${dataset ? ` (${dataset})` : ""}: ${why}`))) : null;

  // A word of a command line: quoted where a shell would read more into it.
  const word = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  const command = (...words) => words.map((each) => word(String(each))).join(" ");

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* a page from a disk may not */ }
    const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    try { return document.execCommand("copy"); } catch { return false; } finally { area.remove(); }
  }

  // A command, or one a line, with a button that copies it and says so.
  function copyable(text, label = "Copy the command") {
    const said = el("span", { role: "status", class: "said" });
    const button = el("button", { type: "button", class: "quiet", "aria-label": label, onclick: async () => {
      const done = await copy(text);
      said.textContent = done ? "Copied" : "Select the line and copy it";
      setTimeout(() => { said.textContent = ""; }, 2500);
    } }, "Copy");
    // A line breaks between words, and within one only where it fits no line.
    const words = text.split(/(\s+)/).map((each, i) => i % 2 ? each : el("span", { class: "unbroken" }, each));
    return el("div", { class: "command" }, el("code", {}, words), button, said);
  }

  const svg = (tag, attributes = {}, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) if (known(value) && value !== false) node.setAttribute(key, value);
    node.append(...children.flat(Infinity).filter(known));
    return node;
  };

  return { known, coded, capital, plural, listed, facts, source, flagged, command, copyable, svg };
})();
