"""Lines read by compiled code: built at installation where there is a C compiler."""
