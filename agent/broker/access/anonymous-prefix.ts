/** Of the client id that an anonymous client with the id of a device gets: see `Gate.clientIdFor`. */
export const ANONYMOUS_PREFIX = '~/';
