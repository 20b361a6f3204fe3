"use strict";
// The ranking: a table of the rows that the filters leave.

spared.ranking = (() => {
  const { esc, score, none, metricAt, scores, write } = spared;
  const { select } = spared.choice;
  const { known, capital } = spared.parts;
  const NOTHING = new URLSearchParams();

  const flags = (row, dataset) => row.flags.filter(([, , about]) => about === dataset);
  const flag = (row, dataset) => {
    if (!row.flags.length) return "";
    const found = flags(row, dataset);
    return found.length ? ` <span class="flag" title="${esc(found.map(([kind, why]) => `${kind}: ${why}`).join(" "))}">⚑<span class="unseen"> flagged: ${esc(found[0][1])}</span></span>` : "";
  };
  // Addresses carry the filters.
  const link = (view, label) => `<a href="${esc(spared.address(view, NOTHING) + current.query)}">${esc(label)}</a>`;

  let current = { board: null, choice: null, params: null, sort: {}, shown: [], keys: [] };

  // What the page itself computes of the board's columns, because it follows from the filters and
  // the chosen metric; `value` sorts and is exported, `html` is shown and escapes what it shows.
  const of = (row) => current.choice.of(row);
  const COMPUTED = {
    rank: () => ({ value: (r) => of(r).rank, html: (r) => known(of(r).rank) ? place(r) : (r.withdrawn !== null ? "withdrawn" : r.control || of(r).complete ? none : `<span title="Not ranked: not every seed and dataset has a result">${none}</span>`), number: true }),
    name: () => ({ value: spared.rowName, html: name }),
    mean_normalised_score: () => ({ value: (r) => of(r).overall, html: (r) => cellOf(score(of(r).overall), coverage(of(r))), number: true }),
    mean_normalised_score_interval: (k, metric) => ({ value: (r) => current.choice.interval(r)[0], parts: (r) => current.choice.interval(r), html: (r) => whisker(r, metric.normalised ? score : write(metric)), number: true }),
    mean_score: (k, metric) => ({ value: (r) => current.choice.meanBy(r, k), html: (r) => cellOf(write(metric)(current.choice.meanBy(r, k)), metric.normalised ? "" : coverage(of(r))), number: true, descending: metric.better === "higher" }),
  };
  const place = (r) => { const tied = of(r).rank > 1 && current.choice.tied(r); return `${of(r).rank}${tied ? ` <small data-tip="${esc(spared.words.explain("rank"))}">tied with 1</small>` : ""}`; };
  function whisker(r, show) {
    const bounds = current.choice.interval(r), few = known(of(r).overall) && !known(bounds[0]);
    if (few) return `<span class="v" title="Fewer than ${current.choice.fewest} datasets: no interval">${none}</span>`;
    return `<span class="v">${esc(range(bounds, show))}</span>${spared.whiskers.draw(current.scale, of(r).overall, bounds)}`;
  }
  const range = ([low, high], show) => known(low) ? `${show(low)} to ${show(high)}` : none;

  // All columns: those of the board that have one value per row, and one for every dataset.
  function definitions(board) {
    const { k } = current.choice;
    const fixed = board.columns.filter((c) => !c.per.includes("dataset")).flatMap((c) =>
      metricsOf(board, c, k).map((j) => {
        const metric = j === null ? null : metricAt(board, j);
        const cell = (row) => j === null ? row.cells[c.key] : row.cells[c.key][j];
        const drawn = c.computed ? COMPUTED[c.key](j, metric)
          : { value: (row) => cell(row)[0], html: (row) => esc(cell(row)[1]), number: board.rows.some((row) => typeof cell(row)[0] === "number") };
        return { key: j === null || j === k ? c.key : `${c.key}:${metric.name}`, title: titled(c, metric), explanation: c.explanation, hidden: c.hidden || (!c.computed && board.rows.every((row) => cell(row)[0] === null)), ...drawn };
      }));
    const datasets = board.datasets.map((column, i) => ({
      key: `d:${column.name}`, dataset: i, title: column.name, about: badges(column), number: true,
      value: (r) => cellsOf(r)[i], html: (r) => cell(r, i),
    }));
    return [...fixed, ...datasets];
  }

  // Of which metrics a column is shown: the chosen one, and the second of a small table.
  function metricsOf(board, column, k) {
    if (!column.per.includes("metric")) return [null];
    const wanted = column.ranks ? [k] : [...new Set([k, ...board.headline.slice(-1)])];
    return wanted.filter((j) => column.only[j]);
  }
  const titled = (column, metric) => column.title.replace("{metric}", metric ? metric.title : "").replace("{error}", metric ? metric.error : "");

  const relative = () => current.params.get("cells") === "normalised" && current.choice.metric.normalised;
  const cellsOf = (row) => relative() ? scores(row, current.choice.k).normalised : scores(row, current.choice.k).mean;
  const shownMeasure = () => `${relative() ? `normalised ${current.choice.metric.perfect ? "error by " : ""}` : ""}${current.choice.metric.name}`;
  // What the two kinds of numbers of a row are, which look alike.
  function units() {
    const { metric } = current.choice, { protocol } = current.board;
    if (!metric.normalised || !current.board.datasets.length) return "";
    return `Norm. ${metric.error}: the mean, over datasets, of ${spared.words.RELATIVE}. Below the names of datasets: ${relative() ? `the normalised ${metric.error} of each` : `the ${metric.title} itself${spared.words.unit(protocol, metric)}`}.`;
  }
  const coverage = (found) => found.covered === current.choice.counted.length || found.overall === null ? "" : `${found.covered}/${current.choice.counted.length}`;
  const cellOf = (shown, aside) => `<span class="v">${shown}</span>${aside ? `<small>${aside}</small>` : ""}`;
  const badges = (c) => [c.tier && `tier ${c.tier}`, c.split && c.split !== "test" && c.split, !c.listed && "not of the protocol", c.synthetic && "generated", c.repeats.length && "repeats", c.shared_donors.length && "shared donors"].filter(Boolean);

  // What a phone has no room for; rank and completer stand below the method there.
  const OFF_PHONE = ["rank", "completer", "trust", "mean_normalised_score_interval"];
  const tips = (badge) => { const name = badge.startsWith("tier") ? "tier" : badge === "val" ? "val" : ""; return name ? ` data-tip="${esc(spared.words.explain(name))}"` : ""; };
  const about = (c) => [`${relative() ? capital(spared.measure(current.choice.metric)) : current.choice.metric.title} on ${c.name}`, [c.organism, c.tissue].filter(Boolean).join(" "), c.technology, c.tier && `tier ${c.tier}`, c.split && `scored on ${c.split === "test" ? "test slides" : "validation slides"}`].filter(Boolean).join(" · ");

  // Whose features a row stands on, and a warning where these may know the test slides.
  function encoder(row) {
    const used = row.cells.encoder?.[0], said = row.cells.may_have_seen?.[1] || "";
    return used ? [`encoder ${used}`, /^(may|has) /.test(said) && said.split(":")[0]] : [];
  }

  function name(row) {
    const said = [row.control ? "control" : row.withdrawn !== null ? "withdrawn" : "", ["imported", "brought"].includes(row.trust) ? row.trust : ""];
    const badge = said.filter(Boolean).map((text) => ` <span class="badge">${text}</span>`).join("");
    const small = [row.method && !row.several && row.predictor, row.scope, spared.claimed(row, row.field_of_view_um && `sees ${Math.round(row.field_of_view_um)} µm`), spared.claimed(row, row.weights), ...encoder(row)].filter(Boolean).map(esc).join(" · ");
    const rank = of(row).rank, phone = `<small class="phone">${onPhone(row, rank).map(esc).join(" · ")}</small>`;
    return `<bdi>${link(["method", row.id], spared.methodName(row))}</bdi>${badge}${flag(row, "")}${small ? `<small>${small}</small>` : ""}${phone}`;
  }

  // What the columns say that a phone has no room for.
  function onPhone(row, rank) {
    const { metric } = current.choice, [low, high] = current.choice.interval(row);
    return [known(rank) ? `${rank}${rank > 1 && current.choice.tied(row) ? ", tied with 1" : ""}` : none, row.completer,
      !["reproduced", "imported", "brought"].includes(row.trust) && row.trust, encoder(row)[1], known(low) && `95 %: ${range([low, high], metric.normalised ? score : write(metric))}`].filter(Boolean);
  }

  function cell(row, i) {
    const value = cellsOf(row)[i];
    if (!known(value)) return none;
    const { k, metric } = current.choice;
    const column = current.board.datasets[i];
    const show = relative() ? score : write(metric);
    const spread = relative() ? null : scores(row, k).sd[i];
    const best = !row.control && row.withdrawn === null && column.best[k] === scores(row, k).mean[i];
    const seeds = row.failed[i] ? ` <small>${row.seeds[i]}/${row.seeds[i] + row.failed[i]} seeds</small>` : "";
    return `<a class="${best ? "best" : ""}" href="#map/${row.id}/${column.path}${current.escaped}">${show(value)}</a>${known(spread) ? ` <small>±${score(spread)}</small>` : ""}${seeds}${flag(row, column.name)}`;
  }

  // The board comes in the order of the metric that ranks; by another, complete rows are first and
  // the best of them first.
  function ordered(board) {
    const { k, metric } = current.choice;
    if (k === 0) return board.rows;
    const { of, err } = select(board, new URLSearchParams({ metric: metric.name }));
    const place = (row) => [of(row).complete ? 0 : 1, known(of(row).overall) ? 0 : 1, -of(row).covered, known(of(row).overall) ? err(row) : 0];
    const places = new Map(board.rows.map((row) => [row, place(row)]));
    const compare = (a, b) => { for (const i of a.keys()) if (a[i] !== b[i]) return a[i] - b[i]; return 0; };
    return [...board.rows].sort((a, b) => compare(places.get(a), places.get(b)));
  }

  // Sentences, which are broken into lines.
  const LONG = 24;
  const isLong = (column) => !column.number && current.rows.some((row) => String(column.value(row) ?? "").length > LONG);

  const TABLE = document.getElementById("board"), FOOT = document.getElementById("paging");
  const press = (key, direction) => {
    current.sort = { key, direction };
    document.dispatchEvent(new CustomEvent("spared-order"));
    draw();
  };

  // Of all columns of a board by a metric: what does not follow from the filters.
  function make(board) {
    for (const dataset of board.datasets) dataset.path = esc(encodeURIComponent(dataset.name));
    current.board = board;
    current.rows = ordered(board);
    current.columns = definitions(board).map((c) => ({
      ...c, html: c.html || ((row) => esc(c.value(row) || none)),
      className: [c.number ? "n" : c.key === "name" ? "name" : isLong(c) ? "long" : "", OFF_PHONE.includes(c.key) ? "off-phone" : ""].filter(Boolean).join(" "),
      tip: c.explanation || about(board.datasets[c.dataset]),
      badges: c.about?.length ? ` <span class="badges">${c.about.map((b) => `<span class="badge"${tips(b)}>${esc(b)}</span>`).join(" ")}</span>` : "",
      descending: c.descending || (c.dataset !== undefined && !relative() && current.choice.metric.better === "higher"),
    }));
    current.keys = current.columns.map((c) => c.key);
  }

  function draw() {
    const { key, direction } = current.sort, column = current.columns[current.keys.indexOf(key)];
    const left = current.rows.filter((row) => current.choice.rows.has(row));
    current.shown = column ? spared.grid.sorted(left, column.value, direction) : left;
    current.grid ??= spared.grid.create(TABLE, FOOT, press);
    current.grid.draw({ columns: shownColumns(), rows: current.shown, sort: current.sort, rowClass: (row) => row.control ? "control" : "", of: `${current.board.protocol} ${current.query} ${key} ${direction}` });
  }

  function visible(params, c) {
    const chosen = params.get("columns");
    if (c.dataset !== undefined) return current.choice.columns.includes(c.dataset) && chosen !== "none" && !(chosen || "").split(" ").includes("-datasets");
    const changed = (chosen || "").split(" ");
    if (c.key === "name") return true;
    if (c.key === "trust" && !chosen) return current.board.rows.some((row) => row.trust !== "reproduced");
    return c.hidden ? changed.includes(`+${c.key}`) : !changed.includes(`-${c.key}`);
  }

  function show(board, params) {
    current.params = params;
    const carried = spared.carried(["table"], params);
    current.query = carried.size ? `?${carried}` : "";
    current.escaped = esc(current.query);
    current.choice = select(board, params);
    current.scale = spared.whiskers.domain(current.choice);
    if (current.board !== board || current.measure !== shownMeasure()) make(board);
    current.measure = shownMeasure();
    current.visible = current.columns.map((c) => visible(params, c));
    const [key, direction] = (params.get("sort") || "").split(/\.(?=(?:asc|desc)$)/);
    // Unasked, rows stand as they are ranked: by the board, or by what the filters leave.
    const usual = current.choice.whole || params.get("metric") ? "" : "rank";
    current.sort = current.keys.includes(key) ? { key, direction: direction === "desc" ? "desc" : "asc" } : { key: usual, direction: "asc" };
    draw();
    return current.choice;
  }

  const sorting = () => { const { key, direction } = current.sort; return key && !(key === "rank" && direction === "asc") ? `${key}.${direction}` : ""; };
  const shownRows = () => current.shown;
  const shownColumns = () => current.columns.filter((c, i) => current.visible[i]);
  return { show, sorting, units, shownRows, shownColumns, shownMeasure, metricsOf, titled, range, columns: () => current.columns, known };
})();
