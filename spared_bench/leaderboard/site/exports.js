"use strict";
// What is shown, as a file: the rows that the filters leave, in their order, the columns that are on.

spared.exports = (() => {
  const heading = (c) => c.dataset === undefined ? c.title : `${c.title} ${spared.ranking.shownMeasure()}`;

  // An interval is two numbers, and a column of each.
  const bound = (c, at, end) => ({ ...c, key: `${c.key}_${end}`, title: `${c.title}, ${end}`, value: (row) => c.parts(row)[at] });
  const parts = (c) => c.parts ? [bound(c, 0, "low"), bound(c, 1, "high")] : [c];

  function shown() {
    const columns = spared.ranking.shownColumns().flatMap(parts);
    const rows = spared.ranking.shownRows();
    const values = rows.map((row) => columns.map((c) => c.value(row) ?? null));
    // A column of whole numbers only, such as ranks, is written without decimals.
    const whole = columns.map((_, i) => values.every((line) => line[i] === null || Number.isInteger(line[i])));
    return { columns: columns.map((c, i) => ({ ...c, whole: whole[i] })), rows, values };
  }

  // A spreadsheet would run a text that begins like a formula.
  function csvCell(value) {
    if (value === null) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(value) ? `'${value}` : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv() {
    const { columns, values } = shown();
    return [columns.map(heading), ...values].map((line) => line.map(csvCell).join(",")).join("\n") + "\n";
  }

  function json() {
    const { columns, values } = shown();
    const rows = values.map((line) => Object.fromEntries(line.map((value, i) => [columns[i].key, value])));
    return JSON.stringify({ address: location.hash, rows }, null, 1) + "\n";
  }

  const LATEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
  const tex = (text) => String(text).replace(/[\\~^&%$#_{}]/g, (c) => LATEX[c] || `\\${c}`);

  const decimal = (v) => v === 0 || Math.abs(v) >= 0.0005 ? v.toFixed(3) : v.toPrecision(2);

  function latex() {
    const { columns, values } = shown();
    const cells = (line) => line.map((value, i) => value === null ? "--"
      : typeof value !== "number" ? tex(value)
      : columns[i].whole && columns[i].dataset === undefined ? String(value) : decimal(value)).join(" & ");
    return [`\\begin{tabular}{${columns.map((c) => c.number ? "r" : "l").join("")}}`, "\\toprule",
      `${columns.map((c) => tex(heading(c))).join(" & ")} \\\\`, "\\midrule",
      ...values.map((line) => `${cells(line)} \\\\`), "\\bottomrule", "\\end{tabular}", ""].join("\n");
  }

  const KINDS = { csv: [csv, "text/csv"], json: [json, "application/json"], tex: [latex, "text/x-tex"] };

  function save(kind) {
    const [make, type] = KINDS[kind];
    file(`leaderboard.${kind}`, make(), type);
  }
  function file(name, text, type) {
    const link = spared.el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => save(button.dataset.export));
  }
  return { csv, json, latex, file };
})();
