/* SPDX-License-Identifier: MIT */
#include <pal_profile/keys-priv.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <pal/util-priv.h>
#include <pal_profile/reader-priv.h>
#include <pal_profile/value-priv.h>

/*
 * The keys of a text: which there are, and in which section. What each reads is in
 * keys-process.c, keys-limits.c, keys-files.c, keys-filter.c and keys-landlock.c.
 */

/* Of systemd.exec(5), and not supported here: refused by name, so that nobody takes them for misspelt. */
static const char *const refused_keys[] = {"AppArmorProfile", "BindLogSockets", "CacheDirectory",
	"CacheDirectoryMode", "ConfigurationDirectory", "ConfigurationDirectoryMode",
	"CoredumpFilter", "DynamicUser", "EnvironmentFile", "ExecSearchPath",
	"ExtensionDirectories", "ExtensionImagePolicy", "ExtensionImages", "IOSchedulingClass",
	"IOSchedulingPriority", "IPCNamespacePath", "ImportCredential", "KeyringMode",
	"LoadCredential", "LoadCredentialEncrypted", "LogExtraFields", "LogFilterPatterns",
	"LogLevelMax", "LogNamespace", "LogRateLimitBurst", "LogRateLimitIntervalSec",
	"LogsDirectory", "LogsDirectoryMode", "MemoryKSM", "MountAPIVFS", "MountFlags",
	"MountImagePolicy", "MountImages", "NUMAMask", "NUMAPolicy", "NetworkNamespacePath",
	"OOMScoreAdjust", "PAMName", "Personality", "PrivateBPF", "ProcSubset", "ProtectProc",
	"RemoveIPC", "RestrictFileSystems", "RootEphemeral", "RootHash", "RootHashSignature",
	"RootImage", "RootImageOptions", "RootImagePolicy", "RootVerity", "RuntimeDirectory",
	"RuntimeDirectoryMode", "RuntimeDirectoryPreserve", "SELinuxContext", "SetCredential",
	"SetCredentialEncrypted", "SetLoginEnvironment", "SmackProcessLabel", "StandardError",
	"StandardInput", "StandardInputData", "StandardInputText", "StandardOutput",
	"StateDirectory", "StateDirectoryMode", "SyslogFacility", "SyslogIdentifier", "SyslogLevel",
	"SyslogLevelPrefix", "SystemCallLog", "TTYColumns", "TTYPath", "TTYReset", "TTYRows",
	"TTYVHangup", "TTYVTDisallocate", "TimeoutCleanSec", "TimerSlackNSec", "UserNamespacePath",
	"UtmpIdentifier", "UtmpMode"};

int pal_profile__bad(struct pal_profile__context *context, int code, const char *format, ...)
{
	char text[PAL_ERROR_TEXT_SIZE];
	va_list args;

	if (code >= 0)
		return code;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return pal_profile__refuse(
		context->error, context->name, context->line, context->key, code, "%s", text);
}

void *pal_profile__place_of(
	struct pal_profile__context *context, const struct pal_profile__key *key)
{
	char *base = key->both ? (char *)context->stage : (char *)context->settings;

	return base + key->offset;
}

int pal_profile__read_bool(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	bool *place = pal_profile__place_of(context, key), on = false;

	if (*value && pal_profile__bool(value, &on) < 0)
		return pal_profile__bad(context, -EINVAL, "\"%s\" is neither yes nor no", value);
	*place = on;
	return 0;
}

int pal_profile__next(struct pal_profile__context *context, char **at, char **ret)
{
	int r = pal_profile__word(at, ret);

	if (r == -EOPNOTSUPP)
		return pal_profile__bad(context, r,
			"specifiers are not known here: a percent sign is written twice");
	return pal_profile__bad(context, r, "quotes or escapes");
}

int pal_profile__read_list(struct pal_profile__context *context, struct pal_profile__list *list,
	char *value, int (*check)(const char *word))
{
	char *word;
	int r;

	if (!*value)
		pal_profile__list_clear(list);
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		r = check(word);
		if (r < 0)
			return pal_profile__bad(context, r, "%s", word);
		r = pal_profile__list_add(list, word, context->line);
		if (r < 0)
			return pal_profile__bad(context, r, "%s", word);
	}
	return r;
}

/* ---- finding them ---- */

static const struct pal_profile__key *find_in(const struct pal_profile__key *keys, const char *name)
{
	while (keys->name && strcmp(keys->name, name) != 0)
		keys++;
	return keys->name ? keys : NULL;
}

static const struct pal_profile__key *find(const char *name)
{
	static const struct pal_profile__key *const tables[] = {pal_profile__process_keys,
		pal_profile__limit_keys, pal_profile__files_keys, pal_profile__filter_keys,
		pal_profile__landlock_keys};
	const struct pal_profile__key *key = NULL;

	for (size_t i = 0; !key && i < PAL_ARRAY_LENGTH(tables); i++)
		key = find_in(tables[i], name);
	return key;
}

static int refuse_key(struct pal_profile__context *context)
{
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(refused_keys); i++)
		if (!strcmp(refused_keys[i], context->key))
			return pal_profile__bad(
				context, -EOPNOTSUPP, "systemd has this key, procmesh does not");
	return pal_profile__bad(context, -EINVAL, "unknown key");
}

struct parse {
	struct pal_profile__settings *settings;
	const char *name;
	bool inherited;
	struct pal_error *error;
};

static int assign(void *userdata, const char *section, const char *name, char *value, unsigned line)
{
	struct parse *parse = userdata;
	struct pal_profile__context context = {.settings = parse->settings,
		.stage = &parse->settings->stage,
		.name = parse->name,
		.line = line,
		.key = name,
		.error = parse->error};
	const struct pal_profile__key *key = find(name);
	bool finalize = !strcmp(section, "Finalize");

	if (!key)
		return refuse_key(&context);
	if (finalize && !key->both)
		return pal_profile__bad(
			&context, -EINVAL, "not in [Finalize]: a process cannot do this to itself");
	if (finalize) {
		if (!parse->settings->has_finalize)
			parse->settings->finalize_line = line;
		parse->settings->has_finalize = true;
		context.stage = &parse->settings->finalize;
	} else if (parse->inherited && strcmp(name, "X-Profile") != 0) {
		return 0; /* is done already; it may not be possible here */
	}
	return key->read(&context, key, value);
}

int pal_profile__parse_settings(struct pal_profile__settings *settings, const char *text,
	size_t size, const char *name, bool inherited, struct pal_error *error)
{
	struct parse parse = {
		.settings = settings, .name = name, .inherited = inherited, .error = error};

	return pal_profile__read(text, size, name, assign, &parse, error);
}
