//! A scripted peer that speaks the server's side of TDS.
