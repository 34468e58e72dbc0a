/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <limits.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/seccomp-priv.h>
#include <pal/util-priv.h>

#define LARGEST_ERRNO 4095  /* the kernel cuts larger ones down to this */
#define EXEC_KEY_ARGUMENT 3 /* execve has 0 to 2: the kernel ignores this one, the filter sees it */

static int to_libseccomp(int action, uint32_t *ret)
{
	if (action == PAL_SECCOMP_ALLOW)
		*ret = SCMP_ACT_ALLOW;
	else if (action == PAL_SECCOMP_KILL)
		*ret = SCMP_ACT_KILL_PROCESS; /* not the thread: its locks would stay locked */
	else if (action > 0 && action <= LARGEST_ERRNO)
		*ret = SCMP_ACT_ERRNO((uint16_t)action);
	else
		return -EINVAL;
	return 0;
}

static int set_attributes(scmp_filter_ctx context)
{
	static const struct {
		enum scmp_filter_attr attribute;
		uint32_t value;
	} wanted[] = {
		{SCMP_FLTATR_API_SYSRAWRC, 1}, /* real error numbers instead of ECANCELED */
		{SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
		{SCMP_FLTATR_CTL_OPTIMIZE, 2}, /* a binary tree of system call numbers */
	};
	int result = 0;

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(wanted) && !result; i++)
		result = seccomp_attr_set(context, wanted[i].attribute, wanted[i].value);
	return result;
}

int pal_seccomp_new(int otherwise, struct pal_seccomp **ret, struct pal_error *error)
{
	struct pal_seccomp *filter;
	uint32_t action;
	int result;

	if (!ret || to_libseccomp(otherwise, &action) < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp filter");
	filter = calloc(1, sizeof *filter);
	if (!filter)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "seccomp filter");
	filter->otherwise = otherwise;
	filter->context = seccomp_init(action);
	result = filter->context ? set_attributes(filter->context) : -ENOMEM;
	if (result < 0) {
		pal_seccomp_free(filter);
		return pal_error_set(error, PAL_STAGE_SECCOMP, result, "making a seccomp filter");
	}
	*ret = filter;
	return 0;
}

static int add_rule(struct pal_seccomp *filter, int action, const char *name, unsigned conditions,
	const struct scmp_arg_cmp *condition, struct pal_error *error)
{
	uint32_t todo;
	int number, result;

	if (!filter || !name || to_libseccomp(action, &todo) < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp rule");
	number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR)
		return pal_error_set(
			error, PAL_STAGE_SECCOMP, -EINVAL, "seccomp rule for %s", name);
	/* a call that another architecture has is known here, too: no rule is needed */
	result = seccomp_rule_add_array(filter->context, todo, number, conditions, condition);
	if (result < 0)
		return pal_error_set(error, PAL_STAGE_SECCOMP, result, "seccomp rule for %s", name);
	return 0;
}

int pal_seccomp_rule(
	struct pal_seccomp *filter, int action, const char *name, struct pal_error *error)
{
	return add_rule(filter, action, name, 0, NULL, error);
}

int pal_seccomp_rules(
	struct pal_seccomp *filter, int action, const char *const *names, struct pal_error *error)
{
	int result = 0;

	if (!names)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp rules");
	for (; *names && !result; names++)
		result = pal_seccomp_rule(filter, action, *names, error);
	return result;
}

int pal_seccomp_rule_masked(struct pal_seccomp *filter, int action, const char *name, unsigned arg,
	uint64_t mask, uint64_t value, struct pal_error *error)
{
	if (arg > 5 || (value & ~mask)) /* a value outside the mask would never match */
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp rule for %s",
			name ? name : "no call");
	return add_rule(filter, action, name, 1,
		&(struct scmp_arg_cmp){
			.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value},
		error);
}

int pal_seccomp_allow_first_exec(struct pal_seccomp *filter, struct pal_error *error)
{
	struct scmp_arg_cmp wrong = {.arg = EXEC_KEY_ARGUMENT, .op = SCMP_CMP_NE};
	unsigned long key = 0;
	int result = 0;

	if (!filter)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp rule");
	if (filter->exec_key)
		return 0;
	while (!key)
		if (getrandom(&key, sizeof key, 0) < 0 && errno != EINTR)
			return pal_error_set(
				error, PAL_STAGE_SECCOMP, -errno, "a key for the first exec");
	wrong.datum_a = key;
	/* libseccomp takes no rule for what happens anyway */
	if (filter->otherwise != PAL_SECCOMP_ALLOW)
		result = pal_seccomp_rule_masked(filter, PAL_SECCOMP_ALLOW, "execve",
			EXEC_KEY_ARGUMENT, ULONG_MAX, key, error);
	if (!result && filter->otherwise != PAL_SECCOMP_KILL)
		result = add_rule(filter, PAL_SECCOMP_KILL, "execve", 1, &wrong, error);
	if (!result)
		filter->exec_key = key;
	explicit_bzero(&key, sizeof key);
	explicit_bzero(&wrong, sizeof wrong);
	return result;
}

void pal_seccomp_free(struct pal_seccomp *filter)
{
	int saved = errno;

	if (!filter)
		return;
	if (filter->context)
		seccomp_release(filter->context);
	explicit_bzero(filter, sizeof *filter);
	free(filter);
	errno = saved;
}

/* All of a file of `size` bytes, in memory to free(). */
static int read_back(int fd, size_t size, void **ret)
{
	PAL_CLEANUP_FREE char *bytes = malloc(size);
	size_t have = 0;

	if (!bytes)
		return -ENOMEM;
	while (have < size) {
		ssize_t count = pread(fd, bytes + have, size - have, (off_t)have);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count < 0 ? -errno : -EIO;
		have += (size_t)count;
	}
	*ret = PAL_TAKE_POINTER(bytes);
	return 0;
}

void pal__seccomp_program_free(struct sock_fprog *program)
{
	if (program->filter)
		explicit_bzero(program->filter, program->len * sizeof *program->filter);
	free(program->filter);
	*program = (struct sock_fprog){0};
}

int pal__seccomp_compile(
	const struct pal_seccomp *filter, struct sock_fprog *ret, struct pal_error *error)
{
	PAL_CLEANUP_CLOSE int fd = -1;
	size_t instructions;
	struct stat status;
	void *program = NULL;
	int result;

	if (!filter)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp filter");
	fd = memfd_create("seccomp", MFD_CLOEXEC); /* libseccomp only writes to descriptors */
	if (fd < 0)
		return pal_error_set(
			error, PAL_STAGE_SECCOMP, -errno, "descriptor to compile a seccomp filter into");
	result = seccomp_export_bpf(filter->context, fd);
	if (!result && fstat(fd, &status) < 0)
		result = -errno;
	if (result < 0)
		return pal_error_set(
			error, PAL_STAGE_SECCOMP, result, "compiling a seccomp filter");
	instructions = (size_t)status.st_size / sizeof(struct sock_filter);
	if (instructions > BPF_MAXINSNS)
		return pal_error_set(error, PAL_STAGE_SECCOMP, -E2BIG,
			"a seccomp filter of %zu instructions, of which the kernel takes %d",
			instructions, BPF_MAXINSNS);
	result = read_back(fd, (size_t)status.st_size, &program);
	if (result < 0)
		return pal_error_set(
			error, PAL_STAGE_SECCOMP, result, "reading a compiled seccomp filter");
	*ret = (struct sock_fprog){.len = (unsigned short)instructions, .filter = program};
	return 0;
}
