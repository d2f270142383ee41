/* base/scope.h - clean-up by scope, and the two macros everybody needs. */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* SCOPED(thing_freep) struct thing *t = NULL; runs thing_freep(&t) when the scope ends. */
#define SCOPED(fn) __attribute__((cleanup(fn)))

/* Hand a pointer on: yields it and leaves NULL behind, so that the scope frees nothing. */
#define TAKE(p) \
	__extension__({ \
		__typeof__(p) taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

/* Defines name##_freep for SCOPED from a name##_free that takes a pointer or NULL. */
#define SCOPE_FREEP(type, name) \
	static inline void name##_freep(type **p) \
	{ \
		name##_free(*p); \
		*p = NULL; \
	}

#endif
