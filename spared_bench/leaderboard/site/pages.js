"use strict";
// The page of a method and of a dataset.

(() => {
  const { el, score, correlation, count, duration, link, table, rowName, none } = spared;
  const known = (v) => v !== null && v !== undefined;
  const plusMinus = (value, spread, show) => show(value) + (known(spread) ? ` ± ${show(spread)}` : "");
  const facts = (pairs) => el("dl", { class: "facts" }, pairs.filter(([, v]) => known(v) && v !== "" && !(Array.isArray(v) && !v.length)).map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
  // Only addresses of the web become links.
  const source = (text) => /^https?:\/\/\S+$/.test(text) ? el("a", { href: text, rel: "noreferrer noopener" }, text) : text;
  const flagged = (flags) => flags.length ? el("ul", { class: "flags" }, flags.map(([kind, why, dataset]) => el("li", {}, `⚑ ${kind}${dataset ? ` (${dataset})` : ""}: ${why}`))) : null;
  const yes = (value) => value ? "yes" : "no";

  spared.views.method = async ({ board, maps, protocol }, view, [id]) => {
    const row = board.rows.find((each) => each.id === id);
    if (!row) return view.replaceChildren(el("p", { class: "banner" }, "There is no such row on this board."));
    const more = await spared.ofProtocol(protocol, `method-${id}`);
    const choice = spared.ranking.select(board, new URLSearchParams());
    const here = choice.of(row);
    const others = board.rows.filter((each) => each !== row && each.predictor === row.predictor);
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / method"),
      el("h2", {}, el("bdi", {}, rowName(row)), row.completer ? ` with completer ${row.completer}` : ""),
      more.about.summary ? el("p", { class: "lead" }, more.about.summary) : "",
      row.withdrawn !== null ? el("p", { class: "banner" }, `Withdrawn: ${row.withdrawn}`) : "",
      flagged(row.flags) || "",
      facts([
        ["Rank", known(here.rank) ? `${here.rank}` : row.control ? "control" : "not ranked"],
        ["Mean normalised MSE", known(here.nmse) ? `${score(here.nmse)}${known(row.interval[0]) ? ` (95 %: ${score(row.interval[0])} to ${score(row.interval[1])})` : ""}, over ${here.covered} of ${choice.counted.length} datasets` : null],
        ["Mean PCC-Gene", known(here.pcc) ? correlation(here.pcc) : null],
        ["Predictor", row.predictor], ["Scope", row.scope], ["Weights", spared.claimed(row, row.weights)], ["Trust", row.trust],
        ["Source", row.source ? source(row.source) : null], ["From the package", more.about.distribution], ["Trained towards", more.about.target],
        ["Trainable parameters", known(row.parameters) ? spared.claimed(row, `${count(row.parameters)} (${row.parameters})`) : null],
        ["Training", known(row.seconds) ? spared.claimed(row, `${duration(row.seconds)} on average`) : null],
        ["Searched", (more.about.searched || []).join(", ")],
      ]),
      el("h3", {}, "Per dataset"),
      table(["Dataset", "MSE", "Normalised", "PCC-Gene", "Seeds", "Maps"], board.columns.map((column, i) => [
        link(["dataset", column.name], column.name), plusMinus(row.mse[i], row.mse_sd[i], score), score(row.nmse[i]), plusMinus(row.pcc[i], row.pcc_sd[i], correlation),
        row.failed[i] ? `${row.seeds[i]} of ${row.seeds[i] + row.failed[i]}` : row.seeds[i],
        maps[id]?.[column.name] ? link(["map", id, column.name], "slides and genes") : none,
      ]), "Scores per dataset"),
      el("h3", {}, "Trials"),
      el("p", {}, "The settings that each result was made with. A key is the hash of all that determines it, and names its entry in the store."),
      ...more.trials.map((trial) => el("details", {}, el("summary", {}, `${trial.dataset}, seed ${trial.seed}: ${trial.status}`),
        facts([["Key", el("code", {}, trial.key)], ["Trainable parameters", trial.n_parameters],
          ...Object.entries(trial.scores).map(([name, v]) => [name, score(v)]),
          ...Object.entries(trial.seconds).map(([name, v]) => [`time: ${name}`, duration(v)]),
          ...Object.entries(trial.parameters).map(([name, v]) => [name, typeof v === "object" ? JSON.stringify(v) : String(v)])]),
        Object.keys(trial.slides).length ? table(["Slide", "MSE", "PCC-Gene"], Object.entries(trial.slides).map(([slide, s]) => [slide, score(s.mse), correlation(s["pcc-gene"])]), "Slides") : null)),
      more.provenance.length ? el("h3", {}, "Provenance") : "",
      ...more.provenance.map((made) => facts([
        ["Trials", made.trials], ["Predictor", made.code], ["Commit", made.commit], ["Device", made.device], ["Driver", made.driver],
        ["Precision", made.precision], ["Python", made.python], ["Packages", made.packages], ["Platform", made.platform],
      ])),
      el("h3", {}, "History"),
      others.length ? table(["Row", "Completer", "Trust", "Norm. MSE", "PCC-Gene"], others.map((each) => [link(["method", each.id], rowName(each)), each.completer, each.trust, score(choice.of(each).nmse), correlation(choice.of(each).pcc)]), "Other versions, completers and sources of this predictor")
        : el("p", {}, "No other version, completer or source of this predictor is on the board."),
    );
  };

  spared.views.dataset = async ({ board, maps }, view, [name]) => {
    const i = board.columns.findIndex((column) => column.name === name);
    if (i < 0) return view.replaceChildren(el("p", { class: "banner" }, "There is no such dataset on this board."));
    const column = board.columns[i];
    const rows = board.rows.filter((row) => known(row.mse[i])).sort((a, b) => a.mse[i] - b.mse[i]);
    const competing = rows.filter((row) => !row.control && row.withdrawn === null);
    const best = Math.max(...competing.map((row) => row.pcc[i]).filter(known));
    const means = board.columns.map((c, k) => [c, Math.max(...board.rows.filter((r) => !r.control && r.withdrawn === null).map((r) => r.pcc[k]).filter(known))]).filter(([c, v]) => c.counts && Number.isFinite(v)).sort((a, b) => b[1] - a[1]);
    const place = means.findIndex(([c]) => c === column);
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / dataset"),
      el("h2", {}, el("bdi", {}, name)),
      column.summary ? el("p", { class: "lead" }, column.summary) : "",
      facts([
        ["Difficulty", place < 0 ? null : `best PCC-Gene ${correlation(best)}: ${place + 1} of ${means.length} from the easiest`],
        ["Lowest MSE", known(column.lowest) ? score(column.lowest) : null],
        ["Organism", column.organism], ["Tissue", column.tissue], ["Task", column.task], ["Technology", column.technology],
        ["Images", column.image], ["Tier", column.tier], ["Scored on", column.split],
        ["Spots", column.n_spots || null], ["Generated", column.synthetic ? "yes: in no mean and in no rank" : null],
        ["Of the protocol", column.listed ? null : "no: in no mean and in no rank"], ["Repeats the slides of", column.repeats.join(", ")], ["Donors in train and test", column.shared_donors.join(", ")], ["Donors verified", known(column.donors_verified) ? yes(column.donors_verified) : null],
        ["Raw counts", known(column.raw_counts) ? yes(column.raw_counts) : null], ["Licence", column.licence], ["Citation", column.citation],
        ["Pages", (column.links || []).map((each) => el("div", {}, source(each)))],
      ]),
      column.notes?.length ? el("ul", {}, column.notes.map((note) => el("li", {}, note))) : "",
      column.slides.length ? table(["Slide", "Donor", "Split"], column.slides.map((s) => [s.slide, s.donor, s.split]), "Slides") : "",
      el("h3", {}, "Methods"),
      table(["Method", "Completer", "Trust", "MSE", "Normalised", "PCC-Gene", "95 % over slides", "Maps"], rows.map((row) => [
        link(["method", row.id], rowName(row)), row.completer, row.trust, plusMinus(row.mse[i], row.mse_sd[i], score), score(row.nmse[i]), plusMinus(row.pcc[i], row.pcc_sd[i], correlation),
        known(row.pcc_interval[i][0]) ? `${correlation(row.pcc_interval[i][0])} to ${correlation(row.pcc_interval[i][1])}` : none,
        maps[row.id]?.[name] ? link(["map", row.id, name], "slides and genes") : none,
      ]), `Scores on ${name}, lowest error first`),
    );
  };
  spared.facts = facts;
  spared.flagged = flagged;
})();
