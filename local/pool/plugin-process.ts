/** What a plugin is executed with. */
export interface PluginCall {
  readonly file: string;
  /** Its one argument. */
  readonly argument: string;
  readonly dom0Root: string;
  /** The files that its output goes to. */
  readonly stdout: string;
  readonly stderr: string;
}

export type Ending = readonly [code: number | null, signal: NodeJS.Signals | null];

/** A plugin that runs, or is about to. Its process has a group of its own. */
export interface PluginProcess {
  readonly ended: Promise<Ending>;
  /** Sends a signal to the plugin and to what it has started, unless it has ended. */
  signal(signal: NodeJS.Signals): void;
}
