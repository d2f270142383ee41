/* tools/lab/play.h - a scenario's steps, one after the other, in a twin of its policy. Inside tools/lab/ only. */
#ifndef TOOLS_LAB_PLAY_H
#define TOOLS_LAB_PLAY_H
struct lab_options;
struct scenario;

/* One of command.h's exit statuses; everything has been said. Takes the scenario over. */
int lab_play(const struct lab_options *o, struct scenario *s);

#endif
