/**
 * What is taken of Glance's answers. An image's record has 2 to 4 KB; with the 128 properties that Glance allows (its
 * `image_property_quota`), each with a name and a value of 255 characters, 65. JSON of these sizes is parsed in a tenth
 * of a second, or half of one when it is made to take long, which is why no clock is looked at meanwhile.
 */
export const MAX_IMAGE_BYTES = 2 ** 20;
/** 100 images, which is what is asked for at a time, of the largest size above. */
export const MAX_PAGE_BYTES = 8 * 2 ** 20;
/** The endpoint's root: some 20 versions of 150 bytes. */
export const MAX_VERSIONS_BYTES = 2 ** 16;

/** Glance's `api_limit_max`, as it is if nobody has changed it; more than that on a page is no answer of Glance's. */
export const MOST_IMAGES_OF_A_PAGE = 1000;
/**
 * Images in one list. Every list here is of one VM's backups or of one installation's unfinished records: some hundreds.
 * Collecting one takes 4 KB an image, 40 MB in all, out of a Lambda's 512 MiB.
 */
export const MOST_IMAGES_OF_A_LIST = 10_000;
/** Bytes of all pages of a list together: 10,000 images of 6 KB. */
export const MAX_LIST_BYTES = 64 * 2 ** 20;
