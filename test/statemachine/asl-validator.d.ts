declare module 'asl-validator' {
  /** Checks a document against the language's schema and its own rules. Writes defaults into the document. */
  function validate(
    definition: unknown,
    options?: { checkPaths?: boolean; checkArn?: boolean },
  ): { isValid: boolean; errors: { 'Error code': string; Message: string }[]; errorsText(): string };
  export default validate;
}
