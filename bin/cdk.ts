import { createApp } from '../cdk/app.ts';

try {
  createApp().app.synth();
} catch (error) {
  if (!(error instanceof Error) || error.name !== 'ConfigurationError') throw error;
  console.error(error.message);
  process.exitCode = 1;
}
