#!/usr/bin/env node
import { prove } from './prove/program.ts';

process.exitCode = await prove(process.argv.slice(2));
