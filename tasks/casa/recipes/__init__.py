"""What runs inside the CASA child: the only modules that import casatools and casatasks."""
