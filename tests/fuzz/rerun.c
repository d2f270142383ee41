/* Every input of a corpus once more, without libFuzzer: what was found stays found. Each input is copied into a buffer
 * of its own size, so that the sanitizer sees one octet too far. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *octets;
	long len;

	if (!f)
		return -1;
	if (fseek(f, 0, SEEK_END) != 0 || (len = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0) {
		(void)fclose(f);
		return -1;
	}
	octets = malloc((size_t)len ? (size_t)len : 1);
	if (!octets || fread(octets, 1, (size_t)len, f) != (size_t)len) {
		free(octets);
		(void)fclose(f);
		return -1;
	}
	(void)fclose(f);
	(void)LLVMFuzzerTestOneInput(octets, (size_t)len);
	free(octets);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *dir;
	size_t ran = 0;

	if (argc != 2 || !(dir = opendir(argv[1]))) {
		(void)fprintf(stderr, "%s: wants the folder of a corpus\n", argv[0]);
		return EXIT_FAILURE;
	}
	for (const struct dirent *e; (e = readdir(dir));) {
		char path[4096];

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
		if (run_file(path) < 0) {
			(void)fprintf(stderr, "%s: cannot be read\n", path);
			(void)closedir(dir);
			return EXIT_FAILURE;
		}
		ran++;
	}
	(void)closedir(dir);
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	(void)printf("%zu inputs\n", ran);
	return ran ? EXIT_SUCCESS : EXIT_FAILURE;
}
