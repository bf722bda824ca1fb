// What a rendered dashboard may contain: the types of @grafana/schema, put together so that every panel is checked against those of its
// kind. Grafana's own outer types leave options, custom field configuration and targets open ("Record<string, unknown>").

import type * as schema from "@grafana/schema";
import type * as barGauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as logs from "@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as stateTimeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as text from "@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen";
import type * as timeSeries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type * as raw from "@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen";
// The schema package has had the queries of Loki and Tempo until 12.4; since then each data source keeps its own.
import type { LokiDataQuery } from "grafana-queries/dist/esm/raw/composable/loki/dataquery/x/LokiDataQuery_types.gen";
import type { TempoQuery } from "grafana-queries/dist/esm/raw/composable/tempo/dataquery/x/TempoDataQuery_types.gen";

// A type as JSON has it: members of enums become their values.
type Json<T> = T extends string
  ? `${T}`
  : T extends number
    ? `${T}` extends `${infer N extends number}`
      ? N
      : never
    : T extends (infer E)[]
      ? Json<E>[]
      : T extends object
        ? { [K in keyof T]: Json<T[K]> }
        : T;

type DataSource<Name> = { type: Name; uid: Name };

// Of the Prometheus data source, which never was in the schema package.
type PrometheusQuery = {
  refId: string;
  datasource: DataSource<"prometheus">;
  editorMode?: "code" | "builder";
  expr: string;
  legendFormat?: string;
  format?: "time_series" | "table" | "heatmap";
  instant?: boolean;
  range?: boolean;
  exemplar?: boolean;
  interval?: string;
};

type LokiQuery = Json<Omit<LokiDataQuery, "queryType" | "datasource">> & {
  queryType: "range" | "instant";
  datasource: DataSource<"loki">;
};
type TempoSearch = Json<Omit<TempoQuery, "queryType" | "datasource">> & {
  queryType: "traceql" | "traceqlSearch" | "traceId";
  datasource: DataSource<"tempo">;
};
type Query = PrometheusQuery | LokiQuery | TempoSearch;

// Links of values: @grafana/schema leaves them unknown; these are the fields of DataLink in @grafana/data.
type DataLink = { title: string; url: string; targetBlank?: boolean; oneClick?: boolean };

type Field<Custom> = Omit<Json<raw.FieldConfig>, "custom" | "links"> & {
  links?: DataLink[];
  custom?: Json<Custom>;
};
type Defined<T, K extends keyof T> = Exclude<T[K], undefined>;
type Property<Custom> =
  | { [K in keyof Field<Custom> & string]: { id: K; value: Defined<Field<Custom>, K> } }[Exclude<
      keyof Field<Custom> & string,
      "custom"
    >]
  | {
      [K in keyof Json<Custom> & string]: { id: `custom.${K}`; value: Defined<Json<Custom>, K> };
    }[keyof Json<Custom> & string];

type Transformation =
  | { id: "merge"; options: Record<string, never> }
  | {
      id: "organize";
      options: {
        excludeByName?: Record<string, boolean>;
        indexByName?: Record<string, number>;
        renameByName?: Record<string, string>;
      };
    };

type Panel<Type extends string, Options, Custom> = Omit<
  Json<raw.Panel>,
  "type" | "id" | "title" | "description" | "gridPos" | "targets" | "options" | "fieldConfig" | "transformations" | "datasource"
> & {
  type: Type;
  id: number;
  title: string;
  description: string;
  gridPos: { h: number; w: number; x: number; y: number };
  datasource?: DataSource<"prometheus" | "loki" | "tempo">;
  targets: Query[];
  options: Json<Options>;
  fieldConfig: {
    defaults: Field<Custom>;
    overrides: { matcher: { id: "byName" | "byRegexp"; options: string }; properties: Property<Custom>[] }[];
  };
  transformations?: Transformation[];
};

// Of public/app/plugins/panel/alertlist/types.ts: the one panel that has no type in @grafana/schema.
type AlertListOptions = {
  alertInstanceLabelFilter: string;
  alertName: string;
  dashboardAlerts: boolean;
  datasource: string;
  groupBy: string[];
  groupMode: "default" | "custom";
  maxItems: number;
  showInactiveAlerts: boolean;
  showInstances: boolean;
  sortOrder: 1 | 2 | 3 | 4 | 5;
  stateFilter: {
    error: boolean;
    firing: boolean;
    noData: boolean;
    normal: boolean;
    pending: boolean;
    recovering: boolean;
  };
  viewMode: "list" | "stat";
};

type NoCustom = Record<never, never>;

export type TimeSeriesPanel = Panel<"timeseries", timeSeries.Options, timeSeries.FieldConfig>;
export type StatPanel = Panel<"stat", stat.Options, NoCustom>;
export type BarGaugePanel = Panel<"bargauge", barGauge.Options, NoCustom>;
export type TablePanel = Panel<"table", schema.TableOptions, schema.TableFieldOptions>;
export type HeatmapPanel = Panel<"heatmap", heatmap.Options, heatmap.FieldConfig>;
export type StateTimelinePanel = Panel<"state-timeline", stateTimeline.Options, stateTimeline.FieldConfig>;
export type LogsPanel = Panel<"logs", logs.Options, NoCustom>;
export type AlertListPanel = Panel<"alertlist", AlertListOptions, NoCustom>;
export type TextPanel = Panel<"text", text.Options, NoCustom>;
export type RowPanel = Omit<Json<raw.RowPanel>, "panels"> & { panels: never[] };

// What the Prometheus data source adds to an annotation.
type Annotation = Omit<Json<raw.AnnotationQuery>, "target" | "datasource"> & {
  datasource: DataSource<"prometheus">;
  target: { refId: string; expr: string; interval?: string; legendFormat?: string };
  expr: string;
  step?: string;
  titleFormat?: string;
  textFormat?: string;
};

type ValuesVariable = Omit<Json<raw.VariableModel>, "type" | "query" | "datasource"> & {
  type: "query";
  datasource: DataSource<"prometheus">;
  query: { refId: string; qryType: number; query: string };
};
type TextVariable = Omit<Json<raw.VariableModel>, "type" | "query" | "datasource"> & { type: "textbox"; query: string };
type Variable = ValuesVariable | TextVariable;

// The schema version is part of the type, so that another Grafana version is noticed here.
export type Surroundings = Omit<
  Json<raw.Dashboard>,
  "panels" | "annotations" | "templating" | "schemaVersion" | "uid" | "title" | "description"
> & {
  uid: `socialize-${string}`;
  title: string;
  description: string;
  schemaVersion: 42;
  annotations: { list: Annotation[] };
  templating: { list: Variable[] };
};
