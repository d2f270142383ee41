/* base/diag.h - why something failed, in words, beside the code that says so.
 * Whoever knows what is wrong fills a diag; each caller adds where (diag_wrap). The buffer is fixed, so
 * reporting cannot fail; text that does not fit is cut. A diag may be NULL: the words are then dropped. */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

struct diag {
	int code; /* what the function returned: negative */
	char text[512];
};

/* Codes beside the negative errno values: what a peer or a file did wrong. */
enum {
	ERR_SYNTAX = 1000, /* not well-formed */
	ERR_CRITICAL,      /* an unknown part that must not be ignored */
	ERR_UNEXPECTED,    /* well-formed, but not now */
	ERR_UNSUPPORTED,   /* well-formed, and we do not do that */
	ERR_NO_PROPOSAL,   /* nothing offered is acceptable */
	ERR_AUTH,          /* the peer is not who it says, or may not */
	ERR_CRYPTO,        /* a check value, key or signature is wrong */
	ERR_POLICY,        /* the policy does not allow it */
};

/* Set the text and return -code (code may be given with either sign). */
int diag_fail(struct diag *d, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Put "where: " before the text there is, and return r. */
int diag_wrap(struct diag *d, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The words for an errno value behind what was tried: "open /x: No such file or directory". Returns -error. */
int diag_errno(struct diag *d, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__ /* what is promised above, so that it does not follow paths that cannot be */
#define diag_fail(...) \
	__extension__({ \
		int r_ = diag_fail(__VA_ARGS__); \
		if (r_ >= 0) \
			__builtin_unreachable(); \
		r_; \
	})
#define diag_errno(...) \
	__extension__({ \
		int r_ = diag_errno(__VA_ARGS__); \
		if (r_ >= 0) \
			__builtin_unreachable(); \
		r_; \
	})
#endif

#endif
