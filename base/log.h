/* base/log.h - the words of a process about itself, once each, on standard error. Libraries do not log: they return
 * errors, and the process says them here. Under systemd each line carries its priority, so that the journal knows it.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6 }; /* syslog's numbers */

void log_start(const char *program); /* static text; decides whether the journal listens */
/* Does not wait for whoever reads it and has stopped to: false, and the line is lost. */
bool log_say(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) (void)log_say(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) (void)log_say(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) (void)log_say(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
