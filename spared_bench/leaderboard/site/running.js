"use strict";
// How a method is run: the command that makes a result of the board again, and those for slides of one's own.

spared.running = (() => {
  const { el } = spared;
  const { command, copyable } = spared.parts;
  const index = () => spared.values.get("index");

  const isKnown = (predictor) => Object.hasOwn(index().predictors || {}, predictor);

  // One that is not registered is named by its file; of one that nobody knows here there is none.
  function protocolOptions(protocol) {
    const { settings = {} } = index(), [name] = protocol.split("@");
    if (!Object.keys(settings).length || settings[protocol]?.registered) return ["--suite", name];
    return settings[protocol] ? ["--protocol", `${name}.yaml`] : null;
  }

  function onBoard(board, choice, row) {
    const by = protocolOptions(board.protocol);
    if (!by || !isKnown(row.predictor)) return null;
    const every = board.datasets.map((_, i) => i).filter((i) => board.datasets[i].counts), some = choice.counted.length ? choice.counted : every;
    const all = some.length > 3 && some.length === every.length;
    const datasets = some.flatMap((i) => ["-d", board.datasets[i].name]);
    return command("spared-bench", "run", ...(all ? ["--all"] : []), ...by, ...(all ? [] : datasets), ...completer(row), "-p", row.predictor, ...threads(row));
  }
  // Sums over threads depend on their number, and so does what a network learns.
  const threads = (row) => row.threads.length === 1 && row.threads[0] !== 1 ? ["--threads", String(row.threads[0])] : [];
  const several = (row) => row.threads.length > 1 ? el("p", { class: "support" }, `Its trials ran on ${row.threads.join(", ")} threads (`, el("code", {}, "--threads"), "), of which the numbers of networks depend.") : "";
  const completer = (row) => row.completer ? ["-c", row.completer] : [];

  // A protocol that comes with no plugin stands in a file, which a command names.
  function protocolFile(protocol) {
    const text = index().files?.[protocol], name = `${protocol.split("@")[0]}.yaml`;
    return text ? el("p", { class: "support" }, "The command reads the protocol from a file: ", el("button", { type: "button", class: "quiet", onclick: () => spared.exports.file(name, text, "application/yaml") }, `Save ${name}`)) : "";
  }

  const byHand = (row) => row.cells.by_hand?.[0] || "";

  // The command that makes the board's result again, or why there is none.
  function again(board, choice, row) {
    const text = onBoard(board, choice, row), why = (...words) => [el("p", { class: "support again" }, ...words)];
    if (text) return [el("p", { class: "support" }, byHand(row) ? `To make it again as the protocol says, without what was set by hand for the result of this board (${byHand(row)}):` : "To make the result of this board again:"), el("div", { class: "again" }, copyable(text, "Copy the command that makes the result of this board again")), several(row), protocolFile(board.protocol)];
    if (row.trust === "brought") return why("Its predictions were made elsewhere, and scored here by ", el("code", {}, "spared-bench score"), "; there is no command for it.");
    if (!isKnown(row.predictor)) return why(`No plugin that was here when the page was built is called ${row.predictor}, so there is no command for it.${row.source ? " Its page names its source." : ""}`);
    return why(`Protocol ${board.protocol} was not known when the page was built, so no command makes this result again. Whoever has its file builds the page with `, el("code", {}, "--protocol FILE"), ".");
  }

  // A description of somebody's own slides, as `spared-bench data add` reads it: of what was asked for.
  const FORMATS = {
    space_ranger: (slide, animal) => `${slide}: {path: ${slide}/outs, patient: ${animal}, image: ${slide}/full.tif}`,
    legacy_st: (slide, animal) => `${slide}: {path: ${slide}_counts.tsv, spots: ${slide}_spots.tsv, patient: ${animal}, image: ${slide}.jpg}`,
  };
  const EVERY = [...Object.keys(FORMATS), "h5ad", "spatialdata"];
  const quoted = (text) => /^[a-z][a-z ]*$/i.test(text) ? text : JSON.stringify(text);
  function description(params) {
    const [organism, tissue, technology] = ["organism", "tissue", "technology"].map((name) => params.get(name) || "");
    const format = spared.choice.technology(technology) === "ST" ? "legacy_st" : "space_ranger", of = FORMATS[format];
    return `name: my_slides
format: ${format}        # or ${EVERY.filter((each) => each !== format).join(", ")}
organism: ${organism === "human" ? "human             # or mouse" : "mouse             # or human"}
tissue: ${quoted(tissue || "brain")}
slides:
  ${of("S1", "donor1")}
  ${of("S2", "donor2")}
split: {train: [S1], test: [S2]}
`;
  }

  // Under which rules slides of one's own are scored where the command names none.
  function under() {
    const found = Object.entries(index().settings || {}).find(([name]) => name.startsWith("own@"));
    if (!found) return [];
    const [name, { summary, settings }] = found, genes = settings.find(([what]) => what === "Genes")?.[1];
    return [el("p", { class: "support" }, `Since it names no protocol, it is run under ${name}: ${summary.charAt(0).toLowerCase()}${summary.slice(1)}${genes ? ` Genes: ${genes}.` : ""} With `, el("code", {}, "--dry-run"), " the command says how long that takes, and trains nothing.")];
  }

  // None of a method that no plugin here is called.
  function own(row, params) {
    if (!isKnown(row.predictor)) return [];
    return [
      el("p", { class: "support" }, "On slides of your own, described in a short file, trained and scored on them:"),
      el("div", { class: "own" }, copyable(["spared-bench data add my_slides.yaml", command("spared-bench", "run", "-d", "my_slides", ...completer(row), "-p", row.predictor)].join("\n"), "Copy the commands that run it on your slides")),
      el("details", {}, el("summary", {}, "What my_slides.yaml holds"), el("p", { class: "support" }, "Paths are relative to the folder that it lies in."), el("pre", { tabindex: "0" }, description(params))),
      ...under(),
    ];
  }

  function predicting(row) {
    if (!isKnown(row.predictor)) return [];
    return [el("p", {}, "So trained, it predicts an image of which nothing was measured:"),
      copyable(command("spared-bench", "predict", `my_slides/${row.completer || "none"}/${row.predictor}`, "--image", "new.tif", "--grid-um", "100", "--um-per-px", "0.5"), "Copy the command that predicts an image")];
  }

  return { again, own, predicting, isKnown };
})();
