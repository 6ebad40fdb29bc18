#pragma once
float fabsf (float);
double fabs (double);
float copysignf (float, float);
double copysign (double, double);
#define isnan(X) __builtin_isnan (X)
#define signbit(X) __builtin_signbit (X)
