/* The interactive form of a page's figures: read values under the pointer, zoom, hide lines. Nothing is loaded.

   A plot is { times, x, panels }: x ascends, in days or seconds since 1970 where times says so. A panel has a title, a
   format of its values, lines (mean, low, high, all as long as x), marks (points of their own x and y) and spans
   (coloured stretches behind the lines, or in a row where they name one). */
(() => {
  "use strict";
  const MARGIN = { left: 64, right: 14, top: 8, bottom: 8, dates: 22 };
  const SCALE = { days: 86400000, seconds: 1000 };
  const made = (name, attributes = {}, text) => {
    const drawn = ["svg", "path", "line", "rect", "text", "g", "clipPath", "defs", "circle"].includes(name);
    const element = drawn ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const FORMATS = {
    money: (y) => Math.round(y).toLocaleString("en-US"),
    percent: (y) => `${(100 * y).toFixed(1)} %`,
    whole: (y) => `${Math.round(100 * y)} %`,
    number: (y) => y.toFixed(2),
    fine: (y) => y.toPrecision(3),
  };
  const said = (y, format) => (y === null || y === undefined ? "–" : FORMATS[format](y).replace("-", "−"));

  /* Round values to draw an axis at. */
  const ticks = (low, high, log) => {
    if (log) {
      const found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
        for (const step of [1, 2, 5]) found.push(step * 10 ** power);
      const inside = found.filter((y) => y >= low && y <= high);
      if (inside.length > 1) return inside;
    }
    const rough = (high - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= rough);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high + step / 1e6; at++) found.push(at * step);
    return found;
  };

  const plotOf = (plot, label) => {
    const { x, times, panels } = plot;
    const root = made("div", { class: "plot", tabindex: 0, role: "group" });
    root.setAttribute("aria-label", `${label}. Arrow keys move the cursor, plus and minus zoom, 0 shows everything.`);
    const bar = root.appendChild(made("div", { class: "plot-bar" }));
    const when = bar.appendChild(made("output", { class: "plot-when" }));
    const shown = { from: 0, to: x.length - 1, cursor: null, hidden: new Set(), width: 0 };
    const date = (value) => {
      if (!times) return `episode ${value}`;
      const text = new Date(value * SCALE[times]).toISOString();
      return times === "days" ? text.slice(0, 10) : text.slice(0, 16).replace("T", " ");
    };
    const near = (value) => {  // the bar nearest to a value of x
      let low = 0;
      let high = x.length - 1;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (x[middle] < value) low = middle; else high = middle;
      }
      return value - x[low] < x[high] - value ? low : high;
    };
    const across = (value) => {
      const span = x[shown.to] - x[shown.from] || 1;
      return MARGIN.left + ((value - x[shown.from]) / span) * (shown.width - MARGIN.left - MARGIN.right);
    };
    const back = (place) => {
      const share = (place - MARGIN.left) / (shown.width - MARGIN.left - MARGIN.right);
      return near(x[shown.from] + Math.min(1, Math.max(0, share)) * (x[shown.to] - x[shown.from]));
    };

    const blocks = panels.map((panel, order) => {
      const head = root.appendChild(made("div", { class: "plot-head" }));
      if (panel.title) head.append(made("b", {}, panel.title));
      const values = new Map();
      for (const line of panel.lines ?? []) {
        const button = head.appendChild(made("button", { type: "button", "aria-pressed": "true" }));
        const swatch = button.appendChild(made("i"));
        swatch.style.borderTop = `3px ${{ "--": "dashed", ":": "dotted" }[line.dash] ?? "solid"} ${line.color}`;
        button.append(`${line.name} `);
        values.set(line, button.appendChild(made("span")));
        button.addEventListener("click", () => {
          const key = `${order} ${line.name}`;
          if (!shown.hidden.delete(key)) shown.hidden.add(key);
          button.setAttribute("aria-pressed", String(!shown.hidden.has(key)));
          draw();
        });
      }
      for (const mark of panel.marks ?? []) {
        const key = head.appendChild(made("span", { class: "plot-key" }));
        key.append(made("i", {}, mark.up ? "▲" : "▼"), ` ${mark.name}`);
        key.firstChild.style.color = mark.color;
      }
      for (const [name, color] of Object.entries(panel.key ?? {})) {
        const key = head.appendChild(made("span", { class: "plot-key" }));
        key.append(made("i", {}, "■"), ` ${name}`);
        key.firstChild.style.color = color;
      }
      const last = order === panels.length - 1;
      const height = panel.height + MARGIN.top + MARGIN.bottom + (last ? MARGIN.dates : 0);
      const svg = root.appendChild(made("svg", { height, role: "presentation" }));
      const bottom = MARGIN.top + panel.height;
      const cursor = made("line", { y1: MARGIN.top, y2: bottom, stroke: "#57606a" });
      const chosen = made("rect", { y: MARGIN.top, height: panel.height, width: 0, fill: "#0072b2", opacity: 0.15 });
      return { panel, order, svg, values, last, bottom, cursor, chosen };
    });

    const drawBlock = ({ panel, order, svg, last, bottom, cursor, chosen }) => {
      const { from, to, width } = shown;
      svg.replaceChildren();
      svg.setAttribute("width", width);
      svg.setAttribute("viewBox", `0 0 ${width} ${svg.getAttribute("height")}`);
      const lines = (panel.lines ?? []).filter((line) => !shown.hidden.has(`${order} ${line.name}`));
      let [low, high] = panel.range ?? [Infinity, -Infinity];
      if (!panel.range) {
        for (const line of lines)
          for (const curve of [line.mean, line.low, line.high])
            for (let at = from; curve && at <= to; at++)
              if (curve[at] !== null) { low = Math.min(low, curve[at]); high = Math.max(high, curve[at]); }
        if (low > high) [low, high] = [0, 1];
        if (panel.zero) { low = Math.min(low, 0); high = Math.max(high, 0); }
        if (low === high) { low -= Math.abs(low) / 10 || 1; high += Math.abs(high) / 10 || 1; }
      }
      const log = panel.log && low > 0;
      const on = log ? Math.log : (y) => y;
      const air = panel.range ? 0 : 0.04 * (on(high) - on(low));
      const up = (y) => bottom - ((on(y) - on(low) + air) / (on(high) - on(low) + 2 * air)) * panel.height;
      const line = (x1, y1, x2, y2, stroke) => svg.appendChild(made("line", { x1, y1, x2, y2, stroke }));
      const text = (at, y, anchor, words) =>
        svg.appendChild(made("text", { x: at, y, "text-anchor": anchor, "dominant-baseline": "middle" }, words));

      if (panel.rows) panel.rows.forEach((row, at) =>
        text(MARGIN.left - 6, MARGIN.top + ((at + 0.5) * panel.height) / panel.rows.length, "end", row));
      else for (const y of ticks(low, high, log)) {
        line(MARGIN.left, up(y), width - MARGIN.right, up(y), Math.abs(y) < 1e-12 ? "#999" : "#e4e7ea");
        text(MARGIN.left - 6, up(y), "end", said(y, panel.ticks ?? panel.format));
      }
      const id = `clip-${Math.random().toString(36).slice(2)}`;
      const clip = svg.appendChild(made("defs")).appendChild(made("clipPath", { id }));
      const inside = { x: MARGIN.left, width: Math.max(0, width - MARGIN.left - MARGIN.right) };
      clip.append(made("rect", { ...inside, y: 0, height: bottom + 2 }));
      const area = svg.appendChild(made("g", { "clip-path": `url(#${id})` }));
      const draw = (d, look) => area.appendChild(made("path", { d, fill: "none", ...look }));

      for (const { start, stop, color, opacity = 1, row } of panel.spans ?? []) {
        const each = panel.height / (panel.rows?.length ?? 1);
        const box = { x: across(start), width: Math.max(0.5, across(stop) - across(start)), fill: color };
        area.append(made("rect", {
          ...box, y: MARGIN.top + (row ?? 0) * each + (panel.rows ? 2 : 0), height: each - (panel.rows ? 4 : 0), opacity,
        }));
      }
      const path = (curve, step) => {
        let d = "";
        let open = false;
        for (let at = Math.max(0, from - 1); at <= Math.min(x.length - 1, to + 1); at++) {
          if (curve[at] === null) { open = false; continue; }
          const place = across(x[at]).toFixed(1);
          if (step && open) d += `H${place}`;
          d += `${open ? "L" : "M"}${place} ${up(curve[at]).toFixed(1)}`;
          open = true;
        }
        return d;
      };
      for (const { low: under, high: over, color } of lines) {
        if (!under) continue;
        const there = x.map((_, at) => at).filter((at) => at >= from - 1 && at <= to + 1 && under[at] !== null);
        const edge = (curve, order) => order.map((at) => `${across(x[at]).toFixed(1)} ${up(curve[at]).toFixed(1)}`);
        const ring = [...edge(over, there), ...edge(under, [...there].reverse())];
        if (ring.length) draw(`M${ring.join("L")}Z`, { fill: color, opacity: 0.14 });
      }
      for (const { mean, color, dash, step, signs } of lines) {
        if (signs) for (const [sign, fill] of [[1, signs[0]], [-1, signs[1]]]) {
          const part = mean.map((y) => (y === null ? null : sign * y > 0 ? y : 0));
          const closed = path(part, step);
          if (closed) draw(`${closed}V${up(0)}H${across(x[Math.max(0, from - 1)])}Z`, { fill, opacity: 0.5 });
        }
        const look = { stroke: color, "stroke-width": 1.6, "stroke-linejoin": "round" };
        if (dash === "--") look["stroke-dasharray"] = "6 3";
        if (dash === ":") look["stroke-dasharray"] = "2 3";
        if (from === to || x.length === 1) area.append(made("circle", { cx: across(x[to]), cy: up(mean[to] ?? low), r: 4, fill: color }));
        else draw(path(mean, step), look);
      }
      for (const mark of panel.marks ?? [])
        mark.x.forEach((value, at) => {
          if (value < x[from] || value > x[to]) return;
          const [cx, cy, turn] = [across(value), up(mark.y[at]), mark.up ? 1 : -1];
          draw(`M${cx - 5} ${cy + 8 * turn}h10l-5 ${-8 * turn}z`, { fill: mark.color, stroke: "#fff", "stroke-width": 0.6 });
        });
      if (last) {
        const count = Math.max(2, Math.min(7, Math.floor(width / 110)));
        let before = -1;
        for (let at = 0; at < count; at++) {
          const here = near(x[from] + (at / (count - 1)) * (x[to] - x[from]));
          if (here === before) continue;
          before = here;
          const anchor = at === 0 ? "start" : at === count - 1 ? "end" : "middle";
          text(across(x[here]), bottom + 16, anchor, times ? date(x[here]) : String(x[here]));
        }
      }
      svg.append(cursor, chosen);
    };
    const point = () => {  // the cursor, and the values there
      const here = shown.cursor ?? shown.to;
      when.textContent = date(x[here]);
      for (const { panel, values, cursor } of blocks) {
        cursor.setAttribute("visibility", shown.cursor === null ? "hidden" : "visible");
        for (const end of ["x1", "x2"]) cursor.setAttribute(end, across(x[here]));
        for (const [own, place] of values) place.textContent = said(own.mean[here], panel.format);
      }
    };
    const draw = () => {
      blocks.forEach(drawBlock);
      point();
    };
    const zoom = (from, to) => {
      const least = Math.min(4, x.length - 1);
      const middle = Math.round((from + to) / 2);
      if (to - from < least) [from, to] = [middle - least / 2, middle + least / 2];
      const size = Math.min(Math.round(to - from), x.length - 1);
      shown.from = Math.min(Math.max(0, Math.round(from)), x.length - 1 - size);
      shown.to = shown.from + size;
      if (shown.cursor !== null) shown.cursor = Math.min(shown.to, Math.max(shown.from, shown.cursor));
      draw();
    };
    const by = (factor) => {
      const middle = shown.cursor ?? (shown.from + shown.to) / 2;
      zoom(middle - (middle - shown.from) * factor, middle + (shown.to - middle) * factor);
    };
    const shift = (share) => {
      const step = Math.round(share * (shown.to - shown.from)) || Math.sign(share);
      zoom(shown.from + step, shown.to + step);
    };
    const move = (step) => {
      shown.cursor = Math.min(x.length - 1, Math.max(0, (shown.cursor ?? shown.to) + step));
      if (shown.cursor < shown.from) return zoom(shown.cursor, shown.cursor + shown.to - shown.from);
      if (shown.cursor > shown.to) return zoom(shown.cursor - shown.to + shown.from, shown.cursor);
      point();
    };
    const actions = { "Zoom in": () => by(0.5), "Zoom out": () => by(2), Earlier: () => shift(-0.5), Later: () => shift(0.5),
      All: () => zoom(0, x.length - 1) };
    for (const [name, action] of Object.entries(actions))
      bar.appendChild(made("button", { type: "button" }, name)).addEventListener("click", action);
    root.addEventListener("keydown", (event) => {
      if (event.target !== root || event.ctrlKey || event.metaKey || event.altKey) return;
      const keys = { ArrowLeft: () => move(event.shiftKey ? -21 : -1), ArrowRight: () => move(event.shiftKey ? 21 : 1),
        "+": () => by(0.5), "-": () => by(2), 0: () => zoom(0, x.length - 1) };
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    let pressed = null;
    for (const { svg, chosen } of blocks) {
      const at = (event) => back(event.clientX - svg.getBoundingClientRect().left);
      svg.addEventListener("pointerdown", (event) => {
        if (event.pointerType !== "touch") { pressed = at(event); svg.setPointerCapture(event.pointerId); }
      });
      svg.addEventListener("pointermove", (event) => {
        shown.cursor = at(event);
        point();
        if (pressed === null) return;
        const [one, other] = [across(x[pressed]), across(x[shown.cursor])].sort((a, b) => a - b);
        chosen.setAttribute("x", one);
        chosen.setAttribute("width", other - one);
      });
      svg.addEventListener("pointerup", (event) => {
        const [start, stop] = [pressed, at(event)].sort((a, b) => a - b);
        const wide = pressed !== null && stop - start > 2;
        pressed = null;
        chosen.setAttribute("width", 0);
        if (wide) zoom(start, stop);
      });
      svg.addEventListener("pointerleave", () => { if (pressed === null) { shown.cursor = null; point(); } });
      svg.addEventListener("dblclick", () => zoom(0, x.length - 1));
    }
    new ResizeObserver(([{ contentRect }]) => {
      if (!contentRect.width || contentRect.width === shown.width) return;
      shown.width = contentRect.width;
      draw();
    }).observe(root);
    return root;
  };

  for (const figure of document.querySelectorAll("figure[data-plot]")) {
    const source = document.getElementById(`plot-${figure.dataset.plot}`);
    const card = figure.querySelector("div");
    const title = "Read values, zoom, hide lines; trades are marked where there are any";
    const button = made("button", { type: "button", title }, "Explore");
    let live;
    button.addEventListener("click", () => {
      live ??= card.appendChild(plotOf(JSON.parse(source.textContent), card.querySelector("svg").getAttribute("aria-label")));
      const now = figure.classList.toggle("live");
      button.textContent = now ? "Drawing" : "Explore";
    });
    figure.prepend(button);
    if (location.hash === "#interactive") button.click();
  }
})();
