"""Lines read by compiled code, `scan.c`: built at installation where there is a C compiler."""
