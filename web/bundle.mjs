// Bundles what the browser gets: node bundle.mjs ENTRY OUTPUT
//
// esbuild leaves out what nobody calls. uPlot hangs all that it has on its constructor, where
// somebody might call it: this takes off what the page does not draw (other lines than straight
// ones, dates, what comes from other modules), before esbuild looks. uPlot's version is pinned; with
// another one whose text is not as expected the build fails.

import { readFile } from "node:fs/promises";
import { build } from "esbuild";

const cuts = [
  [/^const FEAT_TIME +=\s+true;$/m, "const FEAT_TIME = false;"],
  [/^uPlot\.assign = assign;$[^]*^}$/m, ""],
];

const lighter = {
  name: "lighter-uplot",
  setup({ onLoad }) {
    onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => {
      let contents = await readFile(path, "utf8");
      for (const [pattern, instead] of cuts) {
        if (!pattern.test(contents)) throw new Error(`${path}: there is no ${pattern}`);
        contents = contents.replace(pattern, instead);
      }
      return { contents };
    });
  },
};

const [entry, output] = process.argv.slice(2);
await build({
  entryPoints: [entry], outfile: output, bundle: true, minify: true, format: "esm",
  target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning",
  plugins: [lighter],
});
