// Line charts by uPlot, in the colours of the page.

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { colours } from "./colours.js";

const axis = (palette, rest) => ({
  stroke: palette.soft, font: "11px system-ui, sans-serif",
  grid: { stroke: palette.line, width: 1 }, ticks: { show: false }, ...rest,
});

// `series`: [{ label, colour (a name of colours.js), dash, points }]; `data`: x, then each series.
// `x` and `y`: { range, values (a number to its text), splits (where the lines are) }.
export function Chart({ label, series, data, x = {}, y = {}, height = 150 }) {
  const root = useRef(null);
  const plot = useRef(null);
  const newest = useRef(null); // axes may change with the data
  newest.current = { x, y };
  const palette = colours.value;
  const scaleOf = (name) => ({ time: false, range: () => newest.current[name].range });
  const axisOf = (name, size) => axis(palette, {
    size, values: (_, splits) => splits.map(newest.current[name].values ?? String),
    ...(newest.current[name].splits ? { splits: () => newest.current[name].splits } : {}),
  });
  useEffect(() => {
    const options = {
      width: root.current.clientWidth, height, padding: [10, 20, 0, 0],
      legend: { show: false }, cursor: { show: false },
      scales: { x: scaleOf("x"), y: scaleOf("y") },
      axes: [axisOf("x", 26), axisOf("y", 44)],
      series: [{}, ...series.map(({ colour, dash, points = false }) => ({
        stroke: palette[colour], width: 1.75, dash, spanGaps: false,
        points: { show: points, size: 7, fill: palette[colour] },
      }))],
    };
    plot.current = new uPlot(options, data, root.current);
    const watcher = new ResizeObserver(() => {
      plot.current.setSize({ width: root.current.clientWidth, height });
    });
    watcher.observe(root.current);
    return () => {
      watcher.disconnect();
      plot.current.destroy();
    };
  }, [palette, series.length]);
  useEffect(() => plot.current.setData(data), [data]);
  return html`<div class="chart" role="img" aria-label=${label} ref=${root}></div>`;
}
