/** 401: Glance (or Keystone behind it) did not accept the token, or wants one. */
export class GlanceUnauthorized extends Error {
  override readonly name = 'GlanceUnauthorized';
}

/** 403: a protected image, a policy, or a property that Glance keeps to itself. */
export class GlanceForbidden extends Error {
  override readonly name = 'GlanceForbidden';
}

/** 404 or 410 where the image (or Glance itself) had to be there. */
export class GlanceNotFound extends Error {
  override readonly name = 'GlanceNotFound';
}

/** 409: an id that was used before (Glance keeps the ids of deleted images), or a state that forbids the change. */
export class GlanceConflict extends Error {
  override readonly name = 'GlanceConflict';
}

/** 413: image_size_cap, user_storage_quota, or a limit on properties. */
export class GlanceTooLarge extends Error {
  override readonly name = 'GlanceTooLarge';
}

/** 400, 415 and every other answer that says the request itself is wrong: asking again cannot help. */
export class GlanceBadRequest extends Error {
  override readonly name = 'GlanceBadRequest';
}

/** 5xx, 408, 429, no connection, no answer in time, or an answer that is not Glance's: asking later may help. */
export class GlanceUnavailable extends Error {
  override readonly name = 'GlanceUnavailable';
}

/** A list that is longer than is read: what it has given until then is right, and the same question would break off again. */
export class GlanceListTooLong extends GlanceUnavailable {}

/** Glance showed a certificate that is not trusted; the cause is a CertificateMismatch. Nothing was sent. */
export class GlanceCertificateMismatch extends Error {
  override readonly name = 'GlanceCertificateMismatch';
}

/** Keystone did not accept the credential, or the credential may not do this. */
export class KeystoneUnauthorized extends Error {
  override readonly name = 'KeystoneUnauthorized';
}

/** No connection to Keystone, no answer in time, or none that a Keystone v3 gives: asking later may help. */
export class KeystoneUnavailable extends Error {
  override readonly name = 'KeystoneUnavailable';
}

/** Keystone showed a certificate that is not trusted; the cause is a CertificateMismatch. Nothing was sent. */
export class KeystoneCertificateMismatch extends Error {
  override readonly name = 'KeystoneCertificateMismatch';
}
