import type { StepHandler } from '../functions/step.ts';
import { handler as AwaitCoalesce } from '../functions/steps/AwaitCoalesce.ts';
import { handler as CancelDownload } from '../functions/steps/CancelDownload.ts';
import { handler as CancelUpload } from '../functions/steps/CancelUpload.ts';
import { handler as ConfirmHost } from '../functions/steps/ConfirmHost.ts';
import { handler as CreateDisks } from '../functions/steps/CreateDisks.ts';
import { handler as CreateVm } from '../functions/steps/CreateVm.ts';
import { handler as DestroyDisks } from '../functions/steps/DestroyDisks.ts';
import { handler as DestroySnapshot } from '../functions/steps/DestroySnapshot.ts';
import { handler as DestroyVm } from '../functions/steps/DestroyVm.ts';
import { handler as DiscardImage } from '../functions/steps/DiscardImage.ts';
import { handler as FinishRestore } from '../functions/steps/FinishRestore.ts';
import { handler as InspectImage } from '../functions/steps/InspectImage.ts';
import { handler as InspectVm } from '../functions/steps/InspectVm.ts';
import { handler as MarkImage } from '../functions/steps/MarkImage.ts';
import { handler as PollDownload } from '../functions/steps/PollDownload.ts';
import { handler as PollSnapshot } from '../functions/steps/PollSnapshot.ts';
import { handler as PollUpload } from '../functions/steps/PollUpload.ts';
import { handler as ReleaseHost } from '../functions/steps/ReleaseHost.ts';
import { handler as RelockVm } from '../functions/steps/RelockVm.ts';
import { handler as RotateBackups } from '../functions/steps/RotateBackups.ts';
import { handler as SettleSwap } from '../functions/steps/SettleSwap.ts';
import { handler as StartDownload } from '../functions/steps/StartDownload.ts';
import { handler as StartSnapshot } from '../functions/steps/StartSnapshot.ts';
import { handler as StartUpload } from '../functions/steps/StartUpload.ts';
import { handler as SwapDisk } from '../functions/steps/SwapDisk.ts';
import { handler as TakeVm } from '../functions/steps/TakeVm.ts';
import { handler as TestVm } from '../functions/steps/TestVm.ts';
import { handler as UnlockVm } from '../functions/steps/UnlockVm.ts';
import { handler as VerifyImage } from '../functions/steps/VerifyImage.ts';
import type { StepName } from '../statemachine/contract.ts';

/** Every step's handler by its state: the compiler refuses one that is missing or that is another's. */
export const STEP_HANDLERS: { readonly [S in StepName]: StepHandler<S> } = {
  TakeVm,
  InspectVm,
  ConfirmHost,
  UnlockVm,
  StartSnapshot,
  PollSnapshot,
  AwaitCoalesce,
  StartUpload,
  PollUpload,
  VerifyImage,
  RotateBackups,
  InspectImage,
  CreateDisks,
  StartDownload,
  PollDownload,
  CreateVm,
  SwapDisk,
  FinishRestore,
  TestVm,
  CancelUpload,
  DiscardImage,
  DestroySnapshot,
  RelockVm,
  CancelDownload,
  SettleSwap,
  DestroyVm,
  DestroyDisks,
  MarkImage,
  ReleaseHost,
};
