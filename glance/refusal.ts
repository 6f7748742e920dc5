import {
  GlanceBadRequest,
  GlanceConflict,
  GlanceForbidden,
  GlanceNotFound,
  GlanceTooLarge,
  GlanceUnauthorized,
  GlanceUnavailable,
} from './errors.ts';
import { plainText } from './plaintext.ts';

/** What was asked and what came back, as far as an error may show it: never a header, so never the token. */
export interface Refusal {
  method: string;
  url: string;
  status: number;
  body: string;
  /** whether a token was sent: decides which advice a 401 gets */
  withToken: boolean;
}

/** The error for an answer that is neither a success nor one that the caller expects. */
export function refusalError(refusal: Refusal): Error {
  const { method, url, status, withToken } = refusal;
  const said = plainText(refusal.body);
  const what = `${method} ${url} was answered ${status}${said && ` (${said})`}`;
  if (status === 401) {
    const advice = withToken ? 'the token is wrong or has expired: give a new one' : 'Glance wants a token';
    return new GlanceUnauthorized(`${what}; ${advice}`);
  }
  if (status === 403)
    return new GlanceForbidden(`${what}; the image is protected or the token's owner may not do this`);
  if (status === 404 || status === 410)
    return new GlanceNotFound(`${what}; the image is gone or the endpoint is not Glance's`);
  if (status === 409) return new GlanceConflict(what);
  if (status === 413) return new GlanceTooLarge(`${what}; raise Glance's limit or free space under it`);
  if (status === 408 || status === 429 || status >= 500)
    return new GlanceUnavailable(`${what}; look at Glance, or try later`);
  if (status >= 300 && status < 400)
    return new GlanceBadRequest(`${what}; give the endpoint's final URL, without /v2`);
  return new GlanceBadRequest(what);
}
