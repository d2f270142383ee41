/* tests/unit/folder.h - take a folder away with all that is in it. */
#ifndef TESTS_UNIT_FOLDER_H
#define TESTS_UNIT_FOLDER_H
#include <ftw.h>
#include <stdio.h>

static inline int folder_entry_remove(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static inline int folder_remove(const char *path)
{
	return nftw(path, folder_entry_remove, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
