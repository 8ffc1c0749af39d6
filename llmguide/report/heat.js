// Says what a pointer, or the arrow keys, ask for: the value of one cell of a heatmap. Without it the page is whole.
"use strict";
(() => {
  const undefinedCell = -32001, notTried = -32002;
  const decode = ({ data }) => new Int16Array(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)).buffer);
  for (const figure of document.querySelectorAll("figure.heat")) {
    const told = JSON.parse(figure.querySelector("script").textContent);
    const card = figure.querySelector("div"), svg = card.querySelector("svg"), say = figure.querySelector(".cell");
    const panels = told.panels.map((panel) => ({ ...panel, cells: decode(panel) }));
    const [columns, rows] = [told.x.labels.length, told.y.labels.length];
    const ring = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    ring.setAttribute("style", "fill:none;stroke:#1c2128;stroke-width:1.5;pointer-events:none");
    const words = (panel, row, column) => {
      const number = panel.cells[row * columns + column], { digits } = panel;
      const where = [panel.title, `${told.x.name} ${told.x.labels[column]}`, `${told.y.name} ${told.y.labels[row]}`];
      const value = (number / 10 ** digits).toFixed(Math.max(0, digits)).replace("-", "\u2212") + told.unit;
      const said = number === undefinedCell ? "undefined" : number === notTried ? "not tried" : value;
      return `${where.filter(Boolean).join(", ")}: ${told.label} ${said}`;
    };
    let at = null;
    const show = (place, row, column) => {
      at = [place, row, column];
      const [left, top, width, height] = panels[place].box;
      const cell = { x: left + (width * column) / columns, y: top + (height * (rows - 1 - row)) / rows,
                     width: width / columns, height: height / rows };
      for (const [name, value] of Object.entries(cell)) ring.setAttribute(name, value);
      svg.append(ring);
      say.textContent = words(panels[place], row, column);
    };
    const point = (event) => {
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      panels.forEach(({ box: [left, top, width, height] }, place) => {
        const [column, row] = [Math.floor(((x - left) / width) * columns), Math.floor(((top + height - y) / height) * rows)];
        if (column >= 0 && column < columns && row >= 0 && row < rows) show(place, row, column);
      });
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] };
    card.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault();
      const [place, row, column] = at ?? told.start, [up, right] = at ? steps[event.key] : [0, 0];
      show(place, Math.min(rows - 1, Math.max(0, row + up)), Math.min(columns - 1, Math.max(0, column + right)));
    });
    say.textContent = "Point at a cell for its value, or focus the figure and use the arrow keys.";
  }
})();
