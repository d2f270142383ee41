/* tools/cli/program.h - the output of another program, bounded in time and length. */
#ifndef TOOLS_CLI_PROGRAM_H
#define TOOLS_CLI_PROGRAM_H
#include <stddef.h>

struct str;

/* Appends what it wrote to standard output and error, at most `most` octets, and a line in brackets where it could not
 * be started, failed, wrote more or took longer. words: the program, looked for on a fixed path, its arguments, NULL.
 */
void program_output(const char *const *words, unsigned seconds, size_t most, struct str *out);

#endif
