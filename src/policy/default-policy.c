/*
 * The shipped policy, as its file stands (default-policy.yaml), with a NUL behind it.
 */
#include "policy/policy.h"

#include "default-policy-path.h" /* generated: DEFAULT_POLICY_PATH */

__asm__(".pushsection .rodata\n"
        ".global policy_default_text\n"
        ".type policy_default_text, %object\n"
        "policy_default_text:\n"
        ".incbin \"" DEFAULT_POLICY_PATH "\"\n"
        ".byte 0\n"
        ".size policy_default_text, . - policy_default_text\n"
        ".popsection\n");
