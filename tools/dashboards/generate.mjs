// Writes a TypeScript file for each dashboard, in which every panel must satisfy the type of its kind. As literals, so that the compiler
// sees the values of enums and fields that do not exist.
//
// usage: node generate.mjs TARGET-DIRECTORY DASHBOARD.json…

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const types = {
  alertlist: "AlertListPanel",
  bargauge: "BarGaugePanel",
  heatmap: "HeatmapPanel",
  logs: "LogsPanel",
  row: "RowPanel",
  stat: "StatPanel",
  "state-timeline": "StateTimelinePanel",
  table: "TablePanel",
  text: "TextPanel",
  timeseries: "TimeSeriesPanel",
};

const [target, ...files] = process.argv.slice(2);
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const file of files) {
  const { panels, ...surroundings } = JSON.parse(readFileSync(file, "utf8"));
  const literal = (value) => JSON.stringify(value, null, 2);
  const statements = panels.map((panel) => {
    const type = types[panel.type];
    if (!type) throw new Error(`${file}: panel ${panel.id} has the kind ${panel.type}, which types.ts does not know`);
    return `export const panel_${panel.id} = ${literal(panel)} satisfies types.${type};\n`;
  });
  const text = [
    `import type * as types from "../types";\n`,
    `export const surroundings = ${literal(surroundings)} satisfies types.Surroundings;\n`,
    ...statements,
  ];
  writeFileSync(join(target, `${basename(file, ".json")}.ts`), text.join("\n"));
}
