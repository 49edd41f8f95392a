/* A decimal number as text, read to the last bit: the same with every compiler and in every locale. */
#ifndef KI_DECIMAL_H
#define KI_DECIMAL_H

#include "base/base.h"

#define KI_DECIMAL_LEN_MAX 64 /* bytes of a number, without the blanks around it */

/* Reads "12", "-0.5", ".5e-3", "+7E9", with blanks and line ends around it.  false: it is nothing of the kind (also "inf",
 * "nan", hexadecimal), too long, or beyond what a double holds; *out is as it was then.  What is too small for one is 0. */
bool ki_decimal_read(struct ki_span text, double *out);

#endif
